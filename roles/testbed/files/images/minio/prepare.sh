# Builds the server, and takes from its own module the entrypoint that its chart calls and the chart itself.
version=2026-02-12T20:18:48Z
pkg=github.com/minio/minio/cmd
(cd go && go build -mod=readonly -trimpath -o ../minio -ldflags "-s -w \
    -X $pkg.Version=$version -X $pkg.ReleaseTag=DEVELOPMENT.${version//:/-} -X $pkg.CopyrightYear=${version%%-*} \
    -X $pkg.CommitID=7aac2a2c5b7c -X $pkg.ShortCommitID=7aac2a2c5b7c" \
    github.com/minio/minio)
module=$(cd go && go list -mod=readonly -m -f '{{.Dir}}' github.com/minio/minio)
install -m 755 "$module/dockerscripts/docker-entrypoint.sh" docker-entrypoint.sh
chart=$FLOE_CACHE/charts/minio
rm -rf "$chart.partial" && mkdir -p "${chart%/*}"
cp -r --no-preserve=mode "$module/helm/minio" "$chart.partial"
rm -rf "$chart" && mv "$chart.partial" "$chart"
