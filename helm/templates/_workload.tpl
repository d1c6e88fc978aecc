{{/* What components have in common. */}}

{{/* The Deployment of a component: (dict "root" $ "component" "sender" "args" (list "sender" "run")) and, where they differ,
     "ports", "grace", "served", "scaled". */}}
{{- define "jetpost.deployment" -}}
{{- $root := .root -}}
{{- $config := include "jetpost.config" $root | fromJson -}}
{{- $pod := include "jetpost.podValues" (dict "root" $root "values" (index $root.Values .component)) | fromJson -}}
{{- $here := merge (dict "suffix" .component "pod" $pod "checksum" (include "jetpost.settingsFile" $root | sha256sum)) . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "jetpost.metadata" $here | nindent 2 }}
spec:
  {{- if not .scaled }}
  replicas: {{ int $pod.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  selector:
    matchLabels:
      {{- include "jetpost.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "jetpost.podMetadata" $here | nindent 6 }}
    spec:
      {{- include "jetpost.podBasics" (merge (dict "grace" (default $pod.terminationGracePeriodSeconds .grace)) $here) | nindent 6 }}
      {{- if $pod.topologySpread }}
      {{- include "jetpost.spread" . | nindent 6 }}
      {{- end }}
      containers:
        {{- $ports := append (default list .ports) (dict "name" "metrics" "port" $config.metrics.port) }}
        {{- $container := dict "container" .component "resources" $pod.resources "ports" $ports "probed" true "extraEnv" $pod.extraEnv }}
        {{- include "jetpost.container" (merge $container .) | nindent 8 }}
      volumes:
        {{- include "jetpost.volumes" . | nindent 8 }}
{{- end -}}

{{/* Metrics and probes of a component's pods under one name, for scalers and tests. */}}
{{- define "jetpost.metricsService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "jetpost.metadata" (merge (dict "suffix" (printf "%s-metrics" .component)) .) | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "jetpost.selector" . | nindent 4 }}
  ports:
    - { name: metrics, port: {{ int (include "jetpost.config" .root | fromJson).metrics.port }}, targetPort: metrics, protocol: TCP }
{{- end -}}

{{- define "jetpost.disruptionBudget" -}}
{{- $budget := (index .root.Values .component).podDisruptionBudget -}}
{{- if $budget.enabled -}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "jetpost.metadata" (merge (dict "suffix" .component) .) | nindent 2 }}
spec:
  maxUnavailable: {{ $budget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "jetpost.selector" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* The HTTP service of web or public. */}}
{{- define "jetpost.httpService" -}}
{{- $service := (index .root.Values .component).service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "jetpost.metadata" (merge (dict "suffix" .component) .) | nindent 2 }}
  {{- with $service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $service.type }}
  selector:
    {{- include "jetpost.selector" . | nindent 4 }}
  ports:
    - { name: http, port: {{ int $service.port }}, targetPort: http, protocol: TCP, appProtocol: http }
{{- end -}}

{{/* How web or public is reached from outside: (dict "root" $ "component" "public" "host" the usual host). */}}
{{- define "jetpost.exposure" -}}
{{- $values := index .root.Values .component -}}
{{- $name := printf "%s-%s" (include "jetpost.fullname" .root) .component -}}
{{- $metadata := include "jetpost.metadata" (merge (dict "suffix" .component) .) -}}
{{- with $values.ingress }}
{{- if .enabled }}
{{- $host := default $.host .host }}
{{- if not $host }}{{ fail (printf "%s.ingress.host must be set" $.component) }}{{ end }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- $metadata | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .tlsSecret }}
  tls:
    - { hosts: [ {{ $host }} ], secretName: {{ . }} }
  {{- end }}
  rules:
    - host: {{ $host }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: { service: { name: {{ $name }}, port: { name: http } } }
{{- end }}
{{- end }}
{{- with $values.gateway }}
{{- if .enabled }}
{{- if not .parentRefs }}{{ fail (printf "%s.gateway.parentRefs must name a Gateway" $.component) }}{{ end }}
{{- $hostnames := default (compact (list $.host)) .hostnames }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- $metadata | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml .parentRefs | nindent 4 }}
  {{- with $hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path: { type: PathPrefix, value: / }
      backendRefs:
        - { name: {{ $name }}, port: {{ int $values.service.port }} }
{{- end }}
{{- end }}
{{- end -}}

{{/* The components that have metrics, as JSON. */}}
{{- define "jetpost.measured" -}}
{{- $measured := list "producer" "sender" "ingester" "web" -}}
{{- if .Values.public.enabled -}}{{- $measured = append $measured "public" -}}{{- end -}}
{{- if .Values.bounces.enabled -}}{{- $measured = append $measured "bounces" -}}{{- end -}}
{{- $measured | toJson -}}
{{- end -}}
