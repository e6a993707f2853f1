#!/bin/bash
# Shell scripts parse, and shellcheck has nothing to say where it is installed.
set -euo pipefail
if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
  mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
else
  mapfile -t scripts < <(find scripts tests .ci -name '*.sh' -o -path .ci/run)
fi
for script in "${scripts[@]}"; do
  case $(head -n 1 "$script") in
    *busybox* | *'/bin/sh'*) sh -n "$script" ;;
    *) bash -n "$script" ;;
  esac
done
command -v shellcheck > /dev/null || { echo "shellcheck is not installed: syntax alone was checked"; exit 0; }
# SC2187: busybox scripts are checked as dash, which is what we want.
shellcheck -x -S warning -e SC2187 "${scripts[@]}"
