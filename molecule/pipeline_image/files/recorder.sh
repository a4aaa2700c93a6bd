#!/bin/sh
# Stands where kind, k3d, minikube and docker are looked for: keeps what it was called with.
[ "$1" = version ] || printf '%s %s\n' "$(basename "$0")" "$*" >> "$RECORD"
