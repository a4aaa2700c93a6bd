# Builds the v2 binary; its web page is a placeholder, since the module does not carry the built interface.
pkg=github.com/jaegertracing/jaeger/internal/version
(cd go && go build -mod=readonly -trimpath -o ../jaeger \
    -ldflags "-s -w -X $pkg.latestVersion=v1.76.0" \
    github.com/jaegertracing/jaeger/cmd/jaeger)
