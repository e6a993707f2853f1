# What Holdfast links with, each as one imported target. All of it comes from Debian's packages:
# scripts/install-deps.sh names them.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(simdjson 3.0 REQUIRED)
find_path(PROTOZERO_INCLUDE_DIR protozero/version.hpp REQUIRED)  # headers only
find_package(PkgConfig REQUIRED)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(libbpf REQUIRED IMPORTED_TARGET libbpf>=1.1)
pkg_check_modules(tss2 REQUIRED IMPORTED_TARGET tss2-esys tss2-mu tss2-rc tss2-tcti-device)
find_library(ROCKSDB_LIBRARY rocksdb REQUIRED)
if(HOLDFAST_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# Asio's implementation, compiled once: every other translation unit sees declarations only.
file(WRITE ${PROJECT_BINARY_DIR}/asio_impl.cpp.in "#include <boost/asio/impl/src.hpp>\n")
configure_file(${PROJECT_BINARY_DIR}/asio_impl.cpp.in ${PROJECT_BINARY_DIR}/asio_impl.cpp COPYONLY)
add_library(holdfast_asio STATIC ${PROJECT_BINARY_DIR}/asio_impl.cpp)
target_compile_definitions(holdfast_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(holdfast_asio PUBLIC Boost::headers Threads::Threads)
