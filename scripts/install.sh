#!/bin/bash
# install.sh systemd|static-pod [options]: puts Holdfast on this node, in one of the two ways that need no help of
# the cluster. Running it again updates what differs and leaves the rest alone.
#   systemd               the binary, its unit, a sample configuration; enables and starts it
#   static-pod            the manifest and a sample configuration; the kubelet starts the image, which is on the node
#   --uninstall           removes them instead; configuration and cache stay
#   --purge               with --uninstall: removes configuration and cache, too
#   --binary FILE         the program (default: build/release/userspace/holdfast, or holdfast beside this script)
#   --image IMAGE         static-pod: the image (default: as in the manifest)
#   --manifests DIR       static-pod: the kubelet's staticPodPath (default: found on the node)
#   --prefix DIR          systemd: the program goes to DIR/bin (default: /usr)
#   --root DIR            installs below DIR and starts nothing: for packages and images
#   --no-start            neither enables nor starts anything
#   --dry-run             says what it would do, and does nothing
# Exit status: 0 done, 1 it failed, 2 the command line is wrong.
set -euo pipefail

source_dir=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "$0"; }
fail() {
  echo "install: $*" >&2
  exit 1
}
misused() {
  echo "install: $* (try --help)" >&2
  exit 2
}

way='' uninstall=false purge=false start=true dry_run=false
binary='' image='' manifests='' prefix=/usr root=''
while [ $# -gt 0 ]; do
  case $1 in
    systemd | static-pod)
      [ -z "$way" ] || misused "one of systemd and static-pod, not both"
      way=$1
      ;;
    --uninstall) uninstall=true ;;
    --purge) purge=true ;;
    --no-start) start=false ;;
    --dry-run) dry_run=true ;;
    --binary | --image | --manifests | --prefix | --root)
      if [ $# -lt 2 ] || [ -z "$2" ]; then misused "$1 needs a value"; fi
      case $1 in
        --binary) binary=$2 ;;
        --image) image=$2 ;;
        --manifests) manifests=$2 ;;
        --prefix) prefix=$2 ;;
        --root) root=$2 ;;
      esac
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misused "unknown argument $1" ;;
  esac
  shift
done
[ -n "$way" ] || misused "say systemd or static-pod"
if $purge && ! $uninstall; then misused "--purge goes with --uninstall"; fi
case $prefix in /*) ;; *) misused "--prefix must be an absolute path" ;; esac
case $manifests in '' | /*) ;; *) misused "--manifests must be an absolute path" ;; esac
# What goes into files by sed must not be able to end its expression.
case $prefix$image in *[!A-Za-z0-9._:/@-]*) misused "--prefix and --image take letters, digits and ._:/@- only" ;; esac
root=${root%/}

unit=/etc/systemd/system/holdfast.service
config=/etc/holdfast/config.yaml
program=${prefix%/}/bin/holdfast

# Nobody but root may use BPF, but anyone may make a package.
if [ -z "$root" ] && ! $dry_run && [ "$(id -u)" -ne 0 ]; then fail "must be run as root (or with --root DIR)"; fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { echo "install: $*"; }
# act DESCRIPTION COMMAND...: does it, or says that it would.
act() {
  local what=$1
  shift
  if $dry_run; then
    say "would: $what"
  else
    say "$what"
    "$@"
  fi
}

changed=false
# A rename, so that a program that runs can be replaced, and a kubelet never reads half a manifest.
# Its name starts with a dot: kubelets pass over such files in their manifests' folder.
replace() { # replace FROM MODE PATH
  mkdir -p "$(dirname "$3")"
  local fresh
  fresh=$(dirname "$3")/.$(basename "$3").new
  install -m "$2" "$1" "$fresh"
  mv -f "$fresh" "$3"
}
put() { # put FROM MODE PATH: unless it is there already, the same
  local path=$root$3
  if cmp -s "$1" "$path" && [ "$(stat -c %a "$path")" = "$((10#$2))" ]; then
    say "unchanged: $path"
    return 0
  fi
  changed=true
  act "write $path" replace "$1" "$2" "$path"
}
remove() { # remove PATH: a file or folder of ours
  local path=$root$1
  if [ -e "$path" ] || [ -L "$path" ]; then act "remove $path" rm -rf "$path"; fi
}

# Commands to systemd go to the running system only.
live() { [ -z "$root" ] && $start; }
systemd() { # systemd DESCRIPTION ARGUMENTS...
  local what=$1
  shift
  live || return 0
  command -v systemctl > /dev/null || fail "systemctl was not found: this system does not run systemd (try static-pod)"
  act "$what" systemctl "$@"
}

# staticPodPath: what the kubelet's own configuration says, else where the distributions have it.
find_manifests() {
  local configured
  [ -z "$manifests" ] || return 0
  if [ -r "$root/var/lib/kubelet/config.yaml" ]; then
    configured=$(sed -n 's/^staticPodPath: *"\{0,1\}\([^"]*\)"\{0,1\} *$/\1/p' "$root/var/lib/kubelet/config.yaml")
    case $configured in /*) manifests=$configured && return 0 ;; esac
  fi
  for manifests in /var/lib/rancher/k3s/agent/pod-manifests /var/lib/rancher/rke2/agent/pod-manifests \
    /etc/kubernetes/manifests; do
    [ ! -d "$root$manifests" ] || return 0
  done
  manifests=''
}

find_binary() {
  [ -n "$binary" ] || for binary in "$source_dir/build/release/userspace/holdfast" "$(dirname "$0")/holdfast"; do
    [ ! -f "$binary" ] || break
  done
  [ -f "$binary" ] || fail "there is no program at $binary: build it (cmake --build --preset release) or name it with --binary"
  [ -x "$binary" ] || fail "$binary is not executable"
  # A program that can't be loaded would take the place of one that runs.
  local lacking
  lacking=$(ldd "$binary" 2> /dev/null | awk '/=> not found/ {print $1}' | sort -u | xargs) || true
  if [ -n "$lacking" ]; then
    [ -n "$root" ] || fail "this system lacks libraries that $binary is linked with: $lacking"
    say "note: the program needs libraries that are not here: $lacking"
  fi
}

put_config() {
  if [ -e "$root$config" ]; then
    say "kept: $root$config"
  else
    put "$source_dir/deploy/config.yaml" 600 "$config"
  fi
}

install_systemd() {
  find_manifests
  if [ -n "$manifests" ] && [ -e "$root$manifests/holdfast.yaml" ]; then
    fail "Holdfast is a static pod here ($manifests/holdfast.yaml): first run install.sh static-pod --uninstall"
  fi
  find_binary
  if live && ! $dry_run && [ ! -d /run/systemd/system ]; then
    fail "this system does not run systemd: take static-pod, or --no-start"
  fi
  put "$binary" 755 "$program"
  sed "s|^ExecStart=/usr/bin/holdfast|ExecStart=$program|" "$source_dir/deploy/systemd/holdfast.service" > "$scratch/unit"
  put "$scratch/unit" 644 "$unit"
  put_config
  if $changed; then systemd "reload systemd" daemon-reload; fi
  systemd "enable holdfast.service" enable --quiet holdfast.service
  # A changed program is not running yet. Clients go straight to the API server meanwhile.
  if $changed; then
    systemd "restart holdfast.service" restart holdfast.service
  else
    systemd "start holdfast.service" start holdfast.service
  fi
}

install_static_pod() {
  [ ! -e "$root$unit" ] || fail "Holdfast is a systemd service here ($unit): first run install.sh systemd --uninstall"
  find_manifests
  [ -n "$manifests" ] || fail "the kubelet's folder of static pods was not found: name it with --manifests"
  sed "s|image: holdfast:latest|image: ${image:-holdfast:latest}|" "$source_dir/deploy/static-pod.yaml" > "$scratch/pod"
  put_config # the pod mounts its folder, so it comes first
  put "$scratch/pod" 600 "$manifests/holdfast.yaml"
  [ -n "$image" ] || say "the manifest says image: holdfast:latest, which must be on this node (--image names another)"
}

uninstall_systemd() {
  if [ -e "$root$unit" ]; then systemd "stop holdfast.service" disable --quiet --now holdfast.service; fi
  remove "$unit"
  remove "$program"
  systemd "reload systemd" daemon-reload
}

uninstall_static_pod() {
  find_manifests
  [ -n "$manifests" ] || fail "the kubelet's folder of static pods was not found: name it with --manifests"
  remove "$manifests/holdfast.yaml"
}

case $way-$uninstall in
  systemd-false) install_systemd ;;
  static-pod-false) install_static_pod ;;
  systemd-true) uninstall_systemd ;;
  static-pod-true) uninstall_static_pod ;;
esac
if $purge; then
  remove /etc/holdfast
  remove /var/lib/holdfast
elif $uninstall; then
  say "configuration and cache stay: /etc/holdfast, /var/lib/holdfast (--purge removes them)"
fi
if ! $uninstall && ! $dry_run; then say "done; next: $root$config, then holdfast status"; fi
