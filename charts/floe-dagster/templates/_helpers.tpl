{{/* What several templates share: labels, images, security contexts, database, volumes. */}}

{{/* Labels of an object; call with (list $ "component"). */}}
{{- define "floe.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: floe
{{ include "floe.selector" . }}
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
What every pod has; call with (list $ uid), and a service account if the pod talks to the API server. Service links would set
variables such as DAGSTER_CODE_PORT.
*/}}
{{- define "floe.pod" -}}
{{- $root := index . 0 -}}
{{- $account := index (concat . (list "")) 2 -}}
{{- with $account -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ ne $account "" }}
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

{{/* Variables of Dagster's database, which dagster.yaml refers to. */}}
{{- define "floe.database" -}}
- name: DAGSTER_POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: floe-postgresql, key: dagster-password}}
{{- end }}

{{/* Service account of what starts and ends the Jobs of runs; empty when there are none. */}}
{{- define "floe.runsAccount" -}}
{{- eq .Values.runs.isolation "job" | ternary "dagster" "" -}}
{{- end }}

{{/* Settings of the pipeline, for the code location and the Jobs of runs. */}}
{{- define "floe.pipeline" -}}
{{ include "floe.database" . }}
- name: FLOE_TARGET
  value: {{ .Values.target }}
- name: FLOE_CATALOG_URI
  value: {{ .Values.lake.uri }}
- name: FLOE_CATALOG_NAME
  value: {{ .Values.lake.catalog }}
- name: FLOE_CATALOG_SCOPE
  value: {{ .Values.lake.scope }}
- name: FLOE_CATALOG_CLIENT_ID
  valueFrom: {secretKeyRef: {name: floe-polaris-pipeline, key: client-id}}
- name: FLOE_CATALOG_CLIENT_SECRET
  valueFrom: {secretKeyRef: {name: floe-polaris-pipeline, key: client-secret}}
{{- with .Values.telemetry }}
- name: FLOE_TRACES
  value: {{ .traces | quote }}
- name: FLOE_OTLP_ENDPOINT
  value: {{ .otlpEndpoint }}
- name: FLOE_TRACES_URL
  value: {{ .tracesUrl }}
- name: FLOE_LINEAGE
  value: {{ .lineage | quote }}
- name: FLOE_LINEAGE_URL
  value: {{ .lineageUrl }}
- name: FLOE_LINEAGE_UI_URL
  value: {{ .lineageUiUrl }}
{{- end }}
# seedOrders is FLOE_SEED_ORDERS, and so on; Helm reads whole numbers as floats, and 1000000 is not 1e+06
{{- range $group := list .Values.generation .Values.maintenance .Values.engine }}
{{- range $key, $value := $group }}
- name: FLOE_{{ $key | snakecase | upper }}
  value: {{ kindIs "string" $value | ternary $value (int64 $value | toString) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Shell lines that wait for what a program cannot do without (a list of host:port). They stand before each start and not in an
init container, which would not be run again when the container alone is restarted.
*/}}
{{- define "floe.waitFor" -}}
for needed in {{ join " " . }}; do
  until (exec 3<>"/dev/tcp/${needed%:*}/${needed#*:}") 2>/dev/null; do
    [[ ${waiting:-} == "$needed" ]] || echo "waiting for $needed"
    waiting=$needed
    sleep 1
  done
done
{{- end }}

{{- /* Without it webserver and daemon would end, and their next try comes late. */}}
{{- define "floe.databaseAddress" -}}
{{ .Values.database.host }}:{{ .Values.database.port }}
{{- end }}

{{- define "floe.mounts" -}}
- {name: home, mountPath: /opt/dagster/home}
- {name: config, mountPath: /opt/dagster/home/dagster.yaml, subPath: dagster.yaml, readOnly: true}
- {name: config, mountPath: /etc/dagster, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "floe.volumes" -}}
- name: config
  configMap: {name: dagster}
- name: home
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end }}
