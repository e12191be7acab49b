#!/bin/sh
# exports.sh ARCHIVE...: the linker's list of what FM_API shows, read from the objects: defined, of default visibility.
set -e
echo '{ global:'
readelf -sW "$@" | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" { print "  " $8 ";" }' | sort -u
echo 'local: *; };'
