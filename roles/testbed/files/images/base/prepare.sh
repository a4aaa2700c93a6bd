# Makes rootfs.tar: the smallest Debian that can install more of itself. Unpacking in memory halves the time.
if [ "$(df --output=avail -k /dev/shm | tail -1)" -gt 2000000 ]; then export TMPDIR=/dev/shm; fi
mmdebstrap --variant=minbase --include=ca-certificates,tzdata,netbase \
    --dpkgopt=force-unsafe-io --dpkgopt=path-exclude=/usr/share/man/* --dpkgopt=path-exclude=/usr/share/locale/* \
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-include=/usr/share/doc/*/copyright \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    bookworm rootfs.tar
