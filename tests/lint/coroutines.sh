#!/bin/bash
# What g++ 12 miscompiles: a temporary that is made on one branch only (?:, &&, ||), or by a designated
# initializer, within an awaited expression is destroyed twice. Name it first, then await.
set -euo pipefail
command -v perl > /dev/null || { echo "skipped: no perl"; exit 77; }
if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
  files() { git ls-files -z 'include/*.h' 'userspace/*.cpp' 'userspace/*.h' 'tests/*.cpp' 'tests/*.h'; }
else
  files() { find include userspace tests \( -name '*.cpp' -o -name '*.h' \) -print0; }
fi
# shellcheck disable=SC2016 # Perl's variables, not the shell's
files | xargs -0 perl -0777 -ne '
  s{//[^\n]*}{}g;
  while (/co_await\b[^;]*?(?:\?|\{\s*\.)[^;]*;|(?:&&|\|\||\?)\s*!*\(?\s*co_await\b[^;]*;/g) {
    my $line = 1 + (substr($_, 0, $-[0]) =~ tr/\n//);
    print "$ARGV:$line: name it before it is awaited: $&\n";
    $found = 1;
  }
  END { exit($found ? 1 : 0) }'
