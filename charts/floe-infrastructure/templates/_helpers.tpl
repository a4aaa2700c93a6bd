{{/*
What several templates share: labels, checksums, images, security contexts, waiting for the database. floe-dagster and
floe-cube have copies of some of it, which tests/charts keeps alike. A library chart would make a dependency of it, and those
two, which have none, could not be installed from a checkout any more without `helm dependency build`.
*/}}

{{/* Labels of an object; call with (list $ "component"). */}}
{{- define "floe.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{ include "floe.podLabels" . }}
{{- end }}

{{/* Labels of a pod: without the chart's version, with which every pod would be made anew. Called like floe.labels. */}}
{{- define "floe.podLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: floe
{{ include "floe.selector" . }}
{{- end }}

{{/* Checksum of what a ConfigMap holds, whatever its labels are; call with (list $ "/path/of/its/template.yaml"). */}}
{{- define "floe.checksum" -}}
{{- $root := index . 0 -}}
{{- (include (print $root.Template.BasePath (index . 1)) $root | fromYaml).data | toJson | sha256sum -}}
{{- end }}

{{/* Labels that select a component's pods; call with (list $ "component"). */}}
{{- define "floe.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{/* image and imagePullPolicy of a container; call with an `image` value. */}}
{{- define "floe.image" -}}
image: {{ printf "%s:%s" .repository .tag | quote }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}

{{/*
What every pod of this chart has; call with (list $ uid), or (list $ uid "account") for one that uses the Kubernetes API.
Service links would set variables such as MARQUEZ_PORT, which the programs would take for theirs.
*/}}
{{- define "floe.pod" -}}
{{- $root := index . 0 -}}
{{- if gt (len .) 2 }}
serviceAccountName: {{ index . 2 }}
automountServiceAccountToken: true
{{- else }}
automountServiceAccountToken: false
{{- end }}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not $root.Values.openshift }}
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "floe.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/*
An init container that waits for PostgreSQL: while the databases are being made the server listens on 127.0.0.1 alone,
so an answer means that they are there. Without it the Java programs would end, and their next try comes late. The user
is named because there is none of this uid in the image, and pg_isready makes no attempt without a name.
*/}}
{{- define "floe.waitForDatabase" -}}
- name: wait-for-postgresql
  {{- include "floe.postgresqlImage" . | nindent 2 }}
  command:
    - /bin/bash
    - -ec
    - |
      until pg_isready --quiet --host postgresql --username postgres --timeout 3; do
        [[ -n ${waiting:-} ]] || echo "waiting for postgresql:5432"
        waiting=yes
        sleep 1
      done
  {{- include "floe.containerSecurity" . | nindent 2 }}
  resources: {{- include "floe.initResources" . | nindent 4 }}
{{- end }}

{{/* PostgreSQL's image, for init containers that need a shell: it is on the node anyway. */}}
{{- define "floe.postgresqlImage" -}}
{{- $image := .Values.postgresql.image -}}
{{- include "floe.image" (dict "repository" (printf "%s/%s" $image.registry $image.repository) "tag" $image.tag "pullPolicy" $image.pullPolicy) -}}
{{- end }}

{{- define "floe.initResources" -}}
requests: {cpu: 10m, memory: 16Mi}
limits: {memory: 64Mi}
{{- end }}
