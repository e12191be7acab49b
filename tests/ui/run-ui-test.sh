#!/bin/sh
# run-ui-test.sh PROGRAM: a window test on a screen and a bus of its own; says why where there is none.
for tool in xvfb-run dbus-run-session; do
  command -v $tool >/dev/null || { echo "1..0 # SKIP $tool is not installed"; exit 0; }
done
export GDK_BACKEND=x11 GSK_RENDERER=cairo GDK_DISABLE=vulkan GTK_A11Y=test
exec dbus-run-session -- xvfb-run -a -s "-screen 0 1400x1000x24" "$@"
