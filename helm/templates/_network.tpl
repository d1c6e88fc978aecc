{{/* Who may talk to whom. A policy for each component, over one that allows nothing. */}}

{{/* Peers that are pods of this release: (dict "root" $ "components" (list "nats")). */}}
{{- define "jetpost.peers" -}}
- podSelector:
    matchLabels:
      {{- include "jetpost.releaseSelector" .root | nindent 6 }}
    matchExpressions:
      - { key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }} }
{{- end -}}

{{/* One rule: (dict "way" "to" "peers" a text or a list "ports" (list …)). */}}
{{- define "jetpost.rule" -}}
- {{ .way }}:
    {{- if kindIs "string" .peers }}
    {{- .peers | nindent 4 }}
    {{- else }}
    {{- toYaml .peers | nindent 4 }}
    {{- end }}
  ports:
    {{- range .ports | uniq }}
    - { protocol: TCP, port: {{ int . }} }
    {{- end }}
{{- end -}}

{{/* What a component of Jetpost asks: (dict "root" $ "component" … "role" …). */}}
{{- define "jetpost.egress" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $config := include "jetpost.config" $root | fromJson -}}
{{- $outside := $values.networkPolicy.outside -}}
- ports:
    {{- range $values.networkPolicy.dnsPorts }}
    - { protocol: UDP, port: {{ int . }} }
    - { protocol: TCP, port: {{ int . }} }
    {{- end }}
{{- if $values.nats.enabled }}
{{ include "jetpost.rule" (dict "way" "to" "peers" (include "jetpost.peers" (dict "root" $root "components" (list "nats"))) "ports" (list 4222)) }}
{{- else }}
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" (include "jetpost.ports" (dict "urls" $values.nats.external.url "default" 4222) | fromJsonArray)) }}
{{- end }}
{{- if has .component (list "ingester" "web" "setup") }}
{{- if $values.clickhouse.enabled }}
{{ include "jetpost.rule" (dict "way" "to" "peers" (include "jetpost.peers" (dict "root" $root "components" (list "clickhouse"))) "ports" (list 8123)) }}
{{- else }}
{{- $ports := list 8123 8443 }}
{{- with $values.clickhouse.external.url }}
{{- $ports = include "jetpost.ports" (dict "urls" . "default" (ternary 8443 8123 (hasPrefix "https:" .))) | fromJsonArray }}
{{- end }}
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" $ports) }}
{{- end }}
{{- end }}
{{- if eq .component "sender" }}
{{- $ports := list }}
{{- range dig "sender" "pools" dict $config }}{{- $ports = append $ports (default 25 .port) }}{{- end }}
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" $ports) }}
{{- if include "jetpost.demo" $root }}
{{ include "jetpost.rule" (dict "way" "to" "peers" (include "jetpost.peers" (dict "root" $root "components" (list "simulator"))) "ports" (list 2525)) }}
{{- end }}
{{- end }}
{{- $mailbox := dig "bounces" "imap" dict $config }}
{{- if and (eq .component "bounces") $mailbox.host }}
{{- $port := default (ternary 993 143 (eq (default "implicit" $mailbox.tls) "implicit")) $mailbox.port }}
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" (list $port)) }}
{{- end }}
{{- if and (has .component (list "public" "ingester")) (include "jetpost.hearsSes" $root) }}
# Amazon SNS: certificates that sign its calls, and the confirmation of subscriptions.
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" (list 443)) }}
{{- end }}
{{- if has .role (list "campaign" "operator") }}
{{- $ports := list }}
{{- range $config.producer.databases }}{{- $ports = concat $ports (include "jetpost.ports" (dict "urls" (default "" .url) "default" 5432) | fromJsonArray) }}{{- end }}
{{- if $ports }}
{{ include "jetpost.rule" (dict "way" "to" "peers" $outside "ports" $ports) }}
{{- end }}
{{- end }}
{{- if has .role (list "operator" "demo" "test") }}
{{ include "jetpost.rule" (dict "way" "to" "peers" (include "jetpost.peers" (dict "root" $root "components" (include "jetpost.measured" $root | fromJsonArray))) "ports" (list $config.metrics.port $config.web.port)) }}
{{- end }}
{{- with get $values.networkPolicy.extraEgress .role }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "jetpost.hearsSes" -}}
{{- range dig "web" "webhooks" dict .Values.config -}}{{- if eq (toString .esp) "ses" -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* The ports in addresses, as JSON: (dict "urls" "nats://a:4222,nats://b" "default" 4222). */}}
{{- define "jetpost.ports" -}}
{{- $ports := list -}}
{{- range splitList "," .urls -}}
{{- $ports = append $ports (default $.default (regexFind ":[0-9]+$" (urlParse (trim .)).host | trimPrefix ":") | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* A policy: (dict "root" $ "role" the pods' component "ingress" text "egress" text). */}}
{{- define "jetpost.policy" -}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "jetpost.metadata" (dict "root" .root "component" .role "suffix" .role) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "jetpost.selector" (dict "root" .root "component" .role) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- $more := get .root.Values.networkPolicy.extraIngress .role }}
  {{- if or .ingress $more }}
  ingress:
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $more }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- with .egress }}
  egress:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}
