#!/bin/sh
# make-models-table.sh NAME...: prints the C file that lists the reference models.
echo '/* Generated from tests/compute/models/meson.build. */'
echo '#include "models/models.h"'
for n; do echo "extern const FmModelRow fm_model_$(echo "$n" | tr - _);"; done
echo 'const FmModelRow * const fm_models[] = {'
for n; do echo "  &fm_model_$(echo "$n" | tr - _),"; done
echo '  NULL'
echo '};'
