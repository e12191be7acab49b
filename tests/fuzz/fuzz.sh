#!/bin/sh
# fuzz.sh BUILD [TARGET [SECONDS]]: builds the fuzzers into BUILD/fuzz and runs all, or one; in TAP. Without SECONDS batch
# files and claims run for five minutes each, the others for one. What is found lies there as found-*.
#
# Only what reads a stranger's bytes is instrumented; the rest is the library of the tests in BUILD. (clang 14 does not take
# the kernels' targets, and an instrumented copy of all takes half an hour.)
build=$(readlink -f "$1") one=$2 given=$3
source=$(readlink -f "$(dirname "$0")/../..")
targets=${one:-batch bundle claims json safetensors}
if ! command -v clang > /dev/null; then
  echo "1..0 # SKIP clang is not here (Debian: clang, libclang-rt-14-dev)"
  exit 0
fi
library=$build/tests/internal
mkdir -p "$build/fuzz"
export FORMARIUM_PLUGIN_PATH="$build/plugins" FORMARIUM_DATA_DIR="$source"
# No driver of a GPU: what such a one leaks is not ours.
export VK_ICD_FILENAMES=/dev/null OMP_WAIT_POLICY=passive
unset G_DEBUG
cd "$source" || exit 1

sources () {
  case $1 in
    batch|claims) echo tests/fuzz/fuzz-batch.c app/batch/*.c ;;
    bundle)       echo tests/fuzz/fuzz-bundle.c app/run/bundle.c app/run/tar.c ;;
    json)         echo tests/fuzz/fuzz-json.c app/run/json.c app/run/recipe.c app/run/status.c app/run/roof.c \
                       app/run/explore-worker.c ;;
    safetensors)  echo tests/fuzz/fuzz-safetensors.c compute/safetensors.c ;;
    *)            return 1 ;;
  esac
}

# shellcheck disable=SC2046 # the flags are words
compile () {
  define=
  [ "$1" = claims ] && define=-DFUZZ_CLAIMS
  clang -g -O1 -std=gnu11 -fPIC -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Wno-everything $define \
    $(pkg-config --cflags glib-2.0 gio-unix-2.0 json-glib-1.0 sqlite3 gmodule-2.0 cairo) -I. -I"$build" $(sources "$1") \
    -o "$build/fuzz/fuzz-$1" "$library/libformarium.so" -Wl,-rpath,"$library" \
    -Wl,-rpath,/usr/lib/x86_64-linux-gnu/openblas-openmp \
    $(pkg-config --libs glib-2.0 gio-unix-2.0 json-glib-1.0 sqlite3 gmodule-2.0) -lm
}

set -- $targets
echo "1..$#"
n=0 failed=0
for target; do
  n=$((n + 1))
  seconds=60
  case $target in batch|claims) seconds=300 ;; esac
  if ! sources "$target" > /dev/null; then
    echo "not ok $n /fuzz/$target: there is no such fuzzer"
  elif ! compile "$target" 2> "$build/fuzz/fuzz-$target.log"; then
    sed 's/^/# /' "$build/fuzz/fuzz-$target.log" | head -20
    echo "not ok $n /fuzz/$target: not built"
  else
    tests/fuzz/run-fuzzer.sh "$build/fuzz/fuzz-$target" "${given:-$seconds}" | sed "/^1\.\./d; s/ok 1 /ok $n /"
  fi
done
