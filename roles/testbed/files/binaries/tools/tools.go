//go:build tools

// Package tools names the programs that are built as their authors published them, so that go.mod pins them.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
