#!/bin/bash
# fetch_kernel.sh SERIES FOLDER: puts Debian's cloud kernel of that series (5.10, 6.1 or 6.12) into
# FOLDER as `vmlinuz`, its veth module beside it. Does nothing when they are there. Installs nothing.
set -euo pipefail
series=$1
folder=$2
[ -s "$folder/vmlinuz" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# In a folder of our own, where the user that apt downloads as may not write.
apt_options=(-o APT::Sandbox::User=root)
case $series in
  5.10)
    # An older release than this machine's: its own package lists, made from the machine's sources.
    mkdir -p "$work/lists/partial" "$work/sources"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
      [ -e "$file" ] && sed 's/bookworm/bullseye/g' "$file" > "$work/sources/$(basename "$file")"
    done
    apt_options+=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/sources"
                  -o "Dir::State::Lists=$work/lists"
                  -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    apt-get "${apt_options[@]}" -qq update || true # one suite of several may be gone
    meta=linux-image-cloud-amd64 ;;
  6.1) meta=linux-image-cloud-amd64 ;;
  6.12) meta=linux-image-6.12-cloud-amd64 ;;
  *) echo "unknown series $series" >&2; exit 2 ;;
esac

package=$(apt-cache "${apt_options[@]}" depends "$meta" |
  awk -v series="linux-image-$series" '/Depends: / && index($2, series) == 1 {print $2; exit}')
[ -n "$package" ] || { echo "no package for Linux $series" >&2; exit 1; }
(cd "$work" && apt-get "${apt_options[@]}" -qq download "$package")
dpkg-deb -x "$work"/linux-image-*.deb "$work/root"
mkdir -p "$folder"
module=$(find "$work/root" -name 'veth.ko*' | head -n 1)
case $module in
  *.xz) xz -dc "$module" > "$folder/veth.ko" ;;
  *) cp "$module" "$folder/veth.ko" ;;
esac
cp "$work"/root/boot/vmlinuz-* "$folder/vmlinuz.new"
mv "$folder/vmlinuz.new" "$folder/vmlinuz"
