{{- define "hawkvision.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "hawkvision.labels" -}}
app.kubernetes.io/name: hawkvision
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "hawkvision.metadata" -}}
name: {{ include "hawkvision.name" .root }}-{{ .component }}
labels:
  {{- include "hawkvision.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "hawkvision.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hawkvision.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Lines of a TOML file. JSON's values are TOML's, and toToml would write 8080.0. */}}
{{- define "hawkvision.toml" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}

{{/* Gateways that agents ask, as JSON: the user's, or this chart's. */}}
{{- define "hawkvision.gateways" -}}
{{- if .Values.gateways -}}
{{ toJson .Values.gateways }}
{{- else -}}
["{{ include "hawkvision.name" . }}-gateway:{{ .Values.gateway.port }}"]
{{- end }}
{{- end }}
