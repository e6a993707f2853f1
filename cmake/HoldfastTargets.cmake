# Build rules shared by all folders.

find_program(CCACHE ccache)
if(CCACHE)
  # Relative paths, so that two checkouts share the cache.
  set(_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${_launcher})
endif()

add_library(holdfast_options INTERFACE)
target_compile_options(holdfast_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
target_include_directories(holdfast_options INTERFACE ${PROJECT_SOURCE_DIR}/include)
if(HOLDFAST_SANITIZE)
  target_compile_options(holdfast_options INTERFACE
    -fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(holdfast_options INTERFACE -fsanitize=${HOLDFAST_SANITIZE})
endif()

# False alarms of g++ 12: string operators (GCC bug 105329), moves of a variant (105562), and the
# frames of coroutines, which Boost.Asio allocates and frees through its own pool.
set(HOLDFAST_FALSE_ALARMS "")
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(HOLDFAST_FALSE_ALARMS -Wno-restrict -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
endif()

# holdfast_library(<step> SOURCES a.cpp ... DEPS <target> ...)
# The static library holdfast_<step>, made from userspace/<step>, with its public headers in
# include/holdfast/<step>. DEPS are public.
function(holdfast_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(holdfast_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(holdfast_${name} PUBLIC holdfast_options ${ARG_DEPS})
  target_include_directories(holdfast_${name} PRIVATE ${PROJECT_SOURCE_DIR}/userspace)
endfunction()

# All unit tests: what the sanitizers' presets are built for.
add_custom_target(unit_tests)

# holdfast_unit_test(<step> SOURCES a_test.cpp ... DEPS <target> ...)
# One GoogleTest binary per step, label `unit`: no root, no network but loopback, no waiting by the clock.
function(holdfast_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE holdfast_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/userspace ${PROJECT_SOURCE_DIR}/tests)
  add_dependencies(unit_tests ${name}_test)
  add_test(NAME unit.${name} COMMAND ${name}_test)
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
