{{/* A pod template that ends: (dict "root" $ "component" the user of NATS, "role" what it is for, "pod" resources and the like,
     "steps" (list (dict "container" … "args" … "mounts" …)), the last of which is the container and those before it run first,
     "moreVolumes" …, "configSuffix" …). */}}
{{- define "jetpost.jobPod" -}}
{{- $pod := include "jetpost.podValues" (dict "root" .root "values" .pod) | fromJson -}}
{{- $labels := dict "root" .root "component" .role "pod" $pod "checksum" (include "jetpost.settingsFile" .root | sha256sum) -}}
{{- $here := merge (dict "resources" $pod.resources "extraEnv" $pod.extraEnv) . -}}
metadata:
  {{- include "jetpost.podMetadata" $labels | nindent 2 }}
spec:
  restartPolicy: OnFailure
  {{- include "jetpost.podBasics" (dict "root" .root "pod" $pod) | nindent 2 }}
  {{- with initial .steps }}
  initContainers:
    {{- range . }}
    {{- include "jetpost.container" (merge (deepCopy .) $here) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    {{- include "jetpost.container" (merge (deepCopy (last .steps)) $here) | nindent 4 }}
  volumes:
    {{- include "jetpost.volumes" . | nindent 4 }}
    {{- with .moreVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The addresses that tell whether components are ready, for `jetpost probe`: (dict "root" $ "components" (list …)). As JSON. */}}
{{- define "jetpost.readyUrls" -}}
{{- $name := include "jetpost.fullname" .root -}}
{{- $port := int (include "jetpost.config" .root | fromJson).metrics.port -}}
{{- $urls := list -}}
{{- range .components -}}{{- $urls = append $urls (printf "http://%s-%s-metrics:%d/readyz" $name . $port) -}}{{- end -}}
{{- $urls | toJson -}}
{{- end -}}
