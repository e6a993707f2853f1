#!/bin/bash
# Every C and C++ file looks as .clang-format says. Another major version formats differently: skipped.
set -euo pipefail
command -v clang-format > /dev/null || { echo "skipped: no clang-format"; exit 77; }
version=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
[ "$version" = 14 ] || { echo "skipped: clang-format $version, Debian 12 has 14"; exit 77; }
if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
  files() { git ls-files -z '*.cpp' '*.h' '*.c'; }
else
  files() { find bpf include userspace tests \( -name '*.cpp' -o -name '*.h' -o -name '*.c' \) -print0; }
fi
files | xargs -0 -r -n 40 -P "$(nproc)" clang-format --dry-run --Werror
