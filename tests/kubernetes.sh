#!/usr/bin/env bash
# Checks deploy/kubernetes: every manifest against the schemas of Kubernetes and of the Prometheus
# Operator, and the life of its pods, rehearsed in containers of podman and runc. tests/kubernetes.py
# plays kubelet, endpoints controller and Deployment controller, with the manifest's own arguments,
# probes and times: a rolling update of all replicas behind HAProxy under load, and the site in a
# ConfigMap and in an image volume. Prints a line for each check and a summary; exits with 1 if a
# check failed. Has to be run by root, or by a user that may use sudo.
#
# usage: kubernetes.sh [--drain-delay DURATION]
#
# With --drain-delay, the pods of the rolling update have another one than the manifest's; with 0s,
# requests fail, as a proof that the rehearsal would notice.
#
# The programs are built unless PROGRAM and LOADER name them: the server without shared libraries, and
# uringload.
#
# Schemas come from PyPI: kubernetes-validate, and cloudcoil-models-prometheus-operator. The overlays
# need kubectl, which Debian 12 has in a version that is too old; without one they aren't checked.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh
source tests/podman.sh

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    if ! install_missing podman:podman runc:runc haproxy:haproxy curl:curl ip:iproute2 python3:python3; then
        echo "SKIPPED: podman, runc and HAProxy can't be installed"
        return
    fi
    work=$(mktemp -d)
    trap 'remove_groups; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    chmod 755 "$work"
    target=$(realpath "${CARGO_TARGET_DIR:-target}")
    make_environment
    render
    make_images
    echo "${2:-}" > "$work/drain-delay"
    in_own_namespaces "$work"
}

# Python with the schemas, kept between runs.
make_environment() {
    local environment=$target/kubernetes-venv
    if [ ! -e "$environment/complete" ]; then
        python3 -m venv "$environment" || { install_missing :python3-venv; python3 -m venv "$environment"; }
        "$environment/bin/pip" install --quiet --disable-pip-version-check \
            kubernetes-validate==1.37.0 cloudcoil-models-prometheus-operator
        touch "$environment/complete"
    fi
    ln -s "$environment" "$work/venv"
}

# The overlays as `kubectl apply -k` would send them.
render() {
    mkdir "$work/manifests"
    cp deploy/kubernetes/load-job.yaml "$work/manifests/"
    cp deploy/kubernetes/monitoring/s*.yaml "$work/manifests/"
    if ! kubectl kustomize deploy/kubernetes/base > "$work/manifests/base.yaml" 2> /dev/null; then
        echo "-     kubectl is missing or too old: the overlays aren't checked"
        sed -s '1i---' deploy/kubernetes/base/[!k]*.yaml > "$work/manifests/base.yaml"
        return
    fi
    kubectl kustomize deploy/kubernetes/site-in-configmap > "$work/manifests/configmap.yaml"
    kubectl kustomize deploy/kubernetes/site-in-image-volume > "$work/manifests/image-volume.yaml"
    # As the comments of base/kustomization.yaml say.
    mkdir "$work/overlay"
    cp -r deploy/kubernetes "$work/overlay/"
    mkdir "$work/overlay/kubernetes/site"
    cat > "$work/overlay/kubernetes/site/kustomization.yaml" << 'OVERLAY'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../base]
namespace: web
images: [{name: registry.example/site, newTag: "42"}]
components: [../monitoring, ../io-uring]
OVERLAY
    kubectl kustomize "$work/overlay/kubernetes/site" > "$work/manifests/components.yaml"
}

# Two releases of a site, each in an image with the server.
make_images() {
    local number
    [ -n "${PROGRAM:-}" ] || deploy/container/build --output "$work/program.tar" \
        --tag registry.example/uringstatic:0.1.0
    [ -z "${PROGRAM:-}" ] || "$PROGRAM" image --output "$work/program.tar" \
        --tag registry.example/uringstatic:0.1.0
    [ -n "${LOADER:-}" ] || cargo build --release --bin uringload
    cp "${LOADER:-$target/release/uringload}" "$work/uringload"
    for number in 1 2; do
        mkdir "$work/site-$number"
        echo "<h1>release $number</h1>" > "$work/site-$number/index.html"
        head -c 20000 /dev/zero | tr '\0' "$number" > "$work/site-$number/body.txt"
        "${PROGRAM:-$target/container/uringstatic}" image --root "$work/site-$number" \
            --tag "registry.example/site:$number" --output "$work/site-$number.tar" 2> /dev/null
    done
}

inside() {
    work=$1
    enter_namespaces
    local tar
    for tar in program site-1 site-2; do
        podman load --quiet --input "$work/$tar.tar" > /dev/null
    done
    rehearse valid "$work/manifests"
    rehearse rollout "$work" "$(cat "$work/drain-delay")"
    if [ -e "$work/manifests/configmap.yaml" ]; then
        rehearse configmap "$work"
        rehearse image-volume "$work"
    fi
    check "no process is left" no_process
    remove_groups
    check "no control group is left" no_new_group
    summary
}

# Runs a part of the rehearsal, whose lines are checks.
rehearse() {
    local lines
    "$work/venv/bin/python" tests/kubernetes.py "$@" | tee "$work/lines" || failed=$((failed + 1))
    lines=$(grep -c '^ok ' "$work/lines") || true
    passed=$((passed + lines))
    lines=$(grep -c '^FAIL ' "$work/lines") || true
    failed=$((failed + lines))
}

main "$@"
