#!/bin/sh
# make-pictures.sh [BUILD]: draws docs/explore.png and docs/results.png with the program itself, from the newest batch of
# the store (FORMARIUM_STORE or the usual one); run examples/first.batch before. Needs no screen: Xvfb is one.
set -e
cd "$(dirname "$0")/.."
build=${1:-build}
for tool in xvfb-run dbus-run-session; do
  command -v $tool >/dev/null || { echo "make-pictures.sh: $tool is not installed" >&2; exit 1; }
done
export FORMARIUM_PLUGIN_PATH="${FORMARIUM_PLUGIN_PATH:-$PWD/$build/plugins}" FORMARIUM_DATA_DIR="$PWD"
export GDK_BACKEND=x11 GSK_RENDERER=cairo GDK_DISABLE=vulkan
for page in explore results; do
  dbus-run-session -- xvfb-run -a -s "-screen 0 1280x800x24" \
    "$build/ui/formarium-gtk" --screenshot $page "docs/$page.png" 2>/dev/null
  echo "docs/$page.png"
done
