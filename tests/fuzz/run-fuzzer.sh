#!/bin/sh
# run-fuzzer.sh PROGRAM SECONDS: runs a fuzzer on a copy of its corpus and says in TAP how it went; what it found lies beside
# the program as found-*, and `PROGRAM found-...` shows it again.
program=$1 seconds=$2
here=$(dirname "$(readlink -f "$0")")
name=$(basename "$program" | sed 's/^fuzz-//')
folder=$(dirname "$program")
corpus=$folder/corpus-$name
log=$program.log
mkdir -p "$corpus"
cp -f "$here/corpus/$name"/* "$corpus/" 2>/dev/null
case $name in
  batch|claims) find "$here/../../examples" -name '*.batch' | while read -r f; do cp -f "$f" "$corpus/"; done ;;
esac
dictionary=
[ -f "$here/$name.dict" ] && dictionary=-dict=$here/$name.dict
[ "$name" = claims ] && dictionary=-dict=$here/batch.dict
# Plugins are loaded once and stay: not a leak of the input that needed them first.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$here/../lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
echo "1..1"
if "$program" $dictionary -max_total_time="$seconds" -timeout=30 -rss_limit_mb=3000 -max_len=16384 -print_final_stats=1 \
     -artifact_prefix="$folder/found-$name-" "$corpus" > "$log" 2>&1; then
  echo "ok 1 /fuzz/$name"
  sed -n 's/^stat::number_of_executed_units: */# executed /p' "$log"
else
  tail -n 60 "$log" | sed 's/^/# /'
  echo "not ok 1 /fuzz/$name"
fi
