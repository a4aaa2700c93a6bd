{{/* Labels and security contexts as Bitnami's library chart writes them. */}}

{{- define "postgresql.matchLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/name: postgresql
{{- end }}

{{- define "postgresql.labels" -}}
{{ include "postgresql.matchLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/component: primary
{{- end }}

{{/* Call with (list $ context): no fixed ids on OpenShift. */}}
{{- define "postgresql.securityContext" -}}
{{- $context := omit (index . 1) "enabled" -}}
{{- if eq "force" (index . 0).Values.global.compatibility.openshift.adaptSecurityContext -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end }}

{{/* The probe command that startup and liveness share; call with (list $ probe). */}}
{{- define "postgresql.probe" -}}
{{- toYaml (omit (index . 1) "enabled") }}
exec:
  command: [/bin/sh, -c, exec pg_isready -U "postgres" -h 127.0.0.1 -p {{ (index . 0).Values.containerPorts.postgresql }}]
{{- end }}
