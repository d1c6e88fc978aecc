{{/* Pods of Jetpost's own image. `component` is the user of NATS, and decides with `role` (what the pod is for, where that is
     something else) which secrets it gets. */}}

{{/* A component's values, with those of `pods` where it says nothing: (dict "root" $ "values" .Values.sender). As JSON. */}}
{{- define "jetpost.podValues" -}}
{{- merge (deepCopy .values) (deepCopy .root.Values.pods) | toJson -}}
{{- end -}}

{{- define "jetpost.env" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $role := default $component .role -}}
{{- $keys := $root.Values.secrets.keys -}}
- { name: JETPOST_CONFIG, value: /etc/jetpost/jetpost.toml }
{{- include "jetpost.natsEnv" . }}
{{- if has $role (list "producer" "public" "bounces" "campaign" "operator" "demo" "test") }}
{{ include "jetpost.secretEnv" (dict "root" $root "variable" "JETPOST_PRODUCER_LINK_SECRET" "key" $keys.linkSecret) }}
{{- end }}
{{- if has $role (list "web" "operator" "demo" "test") }}
{{ include "jetpost.secretEnv" (dict "root" $root "variable" "JETPOST_WEB_API_TOKEN" "key" $keys.apiToken) }}
{{- end }}
{{- if and $root.Values.bounces.enabled (has $component (list "sender" "bounces")) }}
{{ include "jetpost.secretEnv" (dict "root" $root "variable" "JETPOST_SENDER_VERP_SECRET" "key" $keys.verpSecret) }}
{{- end }}
{{- if has $component (list "ingester" "web" "setup") }}
{{- include "jetpost.clickhouseEnv" $root }}
{{- end }}
{{- if has $component (list "web" "public") }}
- { name: JETPOST_WEB_SERVE, value: {{ ternary "inside" "public" (eq $component "web") }} }
{{- end }}
{{- if has $role (list "operator" "demo" "test") }}
- { name: JETPOST_WEB_PUBLIC_URL, value: "http://{{ include "jetpost.fullname" $root }}-web:{{ $root.Values.web.service.port }}" }
{{- end }}
{{- range $setting, $from := $root.Values.secrets.settings }}
{{- if has $role (include "jetpost.readers" $setting | fromJsonArray) }}
- name: {{ include "jetpost.variable" $setting }}
  valueFrom: { secretKeyRef: { name: {{ $from.name }}, key: {{ $from.key }} } }
{{- end }}
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "jetpost.mounts" -}}
- { name: config, mountPath: /etc/jetpost/jetpost.toml, subPath: jetpost.toml, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- if include "jetpost.natsCa" .root }}
- { name: nats-ca, mountPath: /etc/jetpost/nats-ca, readOnly: true }
{{- end }}
{{- if eq (include "jetpost.natsAuth" .root) "credentials" }}
- { name: nats-credentials, mountPath: /etc/jetpost/nats-credentials, readOnly: true }
{{- end }}
{{- $component := .component }}
{{- range $name, $file := .root.Values.secrets.files }}
{{- if has $component $file.components }}
- { name: files-{{ $name }}, mountPath: /etc/jetpost/files/{{ $name }}, readOnly: true }
{{- end }}
{{- end }}
{{- end -}}

{{- define "jetpost.volumes" -}}
- { name: config, configMap: { name: {{ include "jetpost.fullname" .root }}-config{{ with .configSuffix }}-{{ . }}{{ end }} } }
- { name: tmp, emptyDir: { sizeLimit: 2Gi } }
{{- with include "jetpost.natsCa" .root }}
{{- $ca := fromJson . }}
- { name: nats-ca, secret: { secretName: {{ $ca.name }}, items: [ { key: {{ $ca.key }}, path: ca.crt } ] } }
{{- end }}
{{- if eq (include "jetpost.natsAuth" .root) "credentials" }}
- name: nats-credentials
  secret: { secretName: {{ .root.Values.nats.external.credentialsSecret }}, items: [ { key: {{ .component }}.creds, path: nats.creds } ] }
{{- end }}
{{- $component := .component }}
{{- range $name, $file := .root.Values.secrets.files }}
{{- if has $component $file.components }}
- { name: files-{{ $name }}, secret: { secretName: {{ $file.secretName }} } }
{{- end }}
{{- end }}
{{- end -}}

{{/* A container: (dict "root" $ "component" … "container" its name "args" (list …) "resources" … "ports" (list (dict "name" … "port" …))
     "probed" true "mounts" (list …) "grace" true). */}}
{{- define "jetpost.container" -}}
{{- $values := .root.Values -}}
- name: {{ .container }}
  image: {{ include "jetpost.image" (dict "image" $values.image "default" .root.Chart.AppVersion) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- with .command }}
  command: {{ toJson . }}
  {{- end }}
  {{- with .args }}
  args: {{ toJson . }}
  {{- end }}
  env:
    {{- include "jetpost.env" (dict "root" .root "component" .component "role" .role "extra" .extraEnv) | nindent 4 }}
  {{- with .ports }}
  ports:
    {{- range . }}
    - { name: {{ .name }}, containerPort: {{ int .port }}, protocol: TCP }
    {{- end }}
  {{- end }}
  {{- if .probed }}
  startupProbe:
    httpGet: { path: /healthz, port: metrics }
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 60
  livenessProbe:
    httpGet: { path: /healthz, port: metrics }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: { path: /readyz, port: metrics }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 2
  {{- end }}
  {{- if and .served (semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version) }}
  lifecycle:
    # Requests still come in until everybody knows that this pod is going.
    preStop: { sleep: { seconds: 5 } }
  {{- end }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- toYaml $values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    {{- include "jetpost.mounts" . | nindent 4 }}
    {{- with .mounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What pods of every kind share: (dict "root" $ "component" … "pod" its values "security" … "grace" seconds). */}}
{{- define "jetpost.podBasics" -}}
{{- $values := .root.Values -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "jetpost.serviceAccountName" .root }}
securityContext:
  {{- toYaml (default $values.podSecurityContext .security) | nindent 2 }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .grace }}
terminationGracePeriodSeconds: {{ int .grace }}
{{- end }}
{{- end -}}

{{- define "jetpost.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (and (eq (toString $.strict) "true") (eq . "kubernetes.io/hostname")) }}
    labelSelector:
      matchLabels:
        {{- include "jetpost.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "jetpost.podMetadata" -}}
labels:
  {{- include "jetpost.labels" . | nindent 2 }}
  {{- with .pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ .checksum }}
  {{- with .pod.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
