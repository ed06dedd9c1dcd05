{{- define "shoal.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "shoal.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shoal.labels" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "shoal.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The image of a model server: as given, or the operator's with a suffix.
     Takes a dict of root, image and suffix. */}}
{{- define "shoal.serverImage" -}}
{{- $own := .root.Values.image -}}
{{- .image | default (printf "%s-%s:%s" $own.repository .suffix ($own.tag | default .root.Chart.AppVersion)) -}}
{{- end -}}

{{/* What no model server needs. */}}
{{- define "shoal.serverSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The binding of a ClusterRole: everywhere, or in each of the namespaces given.
     Takes a dict of root, role and namespaces. */}}
{{- define "shoal.bind" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- range $namespace := .namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ $role }}
  {{- if $namespace }}
  namespace: {{ $namespace }}
  {{- end }}
  labels:
    {{- include "shoal.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $role }}
subjects:
  - kind: ServiceAccount
    name: {{ include "shoal.fullname" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end -}}
