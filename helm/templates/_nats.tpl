{{/* The configuration of NATS. The accounts are a file of their own, as `jetpost permissions` prints them. */}}
{{- define "jetpost.natsConf" -}}
{{- $name := printf "%s-nats" (include "jetpost.fullname" .) -}}
{{- $servers := int .Values.nats.replicas -}}
{{- $address := ternary (printf "[%s]" .Values.listenAddress) .Values.listenAddress (contains ":" .Values.listenAddress) -}}
server_name: $POD_NAME
listen: "{{ $address }}:4222"
http: "{{ $address }}:8222"
pid_file: "/run/nats/nats.pid"
# On its way out a server sends its clients to the others.
lame_duck_grace_period: "5s"
lame_duck_duration: "30s"

jetstream {
  store_dir: "/data"
  max_file_store: {{ .Values.nats.maxFile }}
  sync_interval: {{ .Values.nats.syncInterval | quote }}
}
{{- if include "jetpost.natsTls" . }}

tls {
  cert_file: "/etc/nats/tls/tls.crt"
  key_file: "/etc/nats/tls/tls.key"
}
{{- end }}
{{- if gt $servers 1 }}

cluster {
  name: {{ $name | quote }}
  listen: "{{ $address }}:6222"
  # Clients know every server by name; the addresses of pods would not be in a certificate.
  no_advertise: true
  # A server that is cut off is noticed within 15 s, and not within a minute and a half.
  ping_interval: "5s"
  ping_max: 2
  authorization { user: route, password: $NATS_PASSWORD_CLUSTER }
  {{- if include "jetpost.natsTls" . }}
  tls {
    cert_file: "/etc/nats/tls/tls.crt"
    key_file: "/etc/nats/tls/tls.key"
    ca_file: "/etc/nats/tls/ca.crt"
    verify: true
  }
  {{- end }}
  # A variable, because there is none within a text.
  routes: $NATS_ROUTES
}
{{- end }}

include "accounts.conf"
{{- end -}}

{{/* What the account may hold: in a cluster every copy counts, on whichever server it lies. */}}
{{- define "jetpost.natsMaxFile" -}}
{{- $size := .Values.nats.maxFile | toString -}}
{{- $number := regexFind "^[0-9]+" $size | int64 -}}
{{- printf "%d%s" (mul $number (int .Values.nats.replicas)) (regexFind "[A-Za-z]*$" $size) -}}
{{- end -}}

{{/* Where the servers of a cluster find each other, as nats-server reads a list; Kubernetes puts the password in. */}}
{{- define "jetpost.natsRoutes" -}}
{{- $name := printf "%s-nats" (include "jetpost.fullname" .) -}}
{{- $routes := list -}}
{{- range $number := until (int .Values.nats.replicas) -}}
{{- $routes = append $routes (printf "nats-route://route:$(NATS_PASSWORD_CLUSTER)@%s-%d.%s-headless:6222" $name $number $name) -}}
{{- end -}}
{{- toJson $routes -}}
{{- end -}}

{{/* The storage of a StatefulSet: (dict "storage" .Values.nats.storage). */}}
{{- define "jetpost.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata: { name: data }
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storage.className }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources: { requests: { storage: {{ .storage.size }} } }
{{- end -}}
