#!/usr/bin/env python3
"""Checks and rehearses deploy/kubernetes, for tests/kubernetes.sh; prints a line for each check.

usage: kubernetes.py valid MANIFESTS | rollout WORK [DRAIN DELAY] | configmap WORK | image-volume WORK

The parts of Kubernetes that matter to a pod's life are played here, by the manifest alone:
- the kubelet starts a container as the pod's specification says, probes it, sends SIGTERM when the pod is
  deleted, and SIGKILL at the end of the grace period;
- the endpoints controller and kube-proxy have HAProxy know the pods that are ready and aren't being
  deleted, some time later than it becomes true;
- the Deployment controller replaces the pods one by one, and never has fewer than replicas that are ready.
"""

import copy
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import yaml


def main():
    part, *arguments = sys.argv[1:]
    parts = {"valid": valid, "rollout": rollout, "configmap": configmap, "image-volume": image_volume}
    try:
        parts[part](*arguments)
    finally:
        if Pod.started:
            podman("rm", "--force", "--time", "0", *Pod.started, check=False)


def check(name, problem):
    """A line for a check; a problem is a text, and empty if there is none."""
    print(f"FAIL  {name}: {problem}" if problem else f"ok    {name}", flush=True)


def documents(path):
    return [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]


def only(path, kind):
    (found,) = [document for document in documents(path) if document["kind"] == kind]
    return found


# Schemas


def valid(folder):
    import kubernetes_validate

    for path in sorted(pathlib.Path(folder).glob("*.yaml")):
        found = documents(path)
        problems = []
        for document in found:
            if document["apiVersion"].startswith("monitoring.coreos.com/"):
                problems += problems_of_monitor(document)
                continue
            # The first version with volumes of images, and the latest.
            for version in ("1.31", "1.37"):
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    problems.append(f"{document['kind']}, {version}: {error.message}")
        problems += problems_of_selectors(found)
        kinds = ", ".join(document["kind"] for document in found)
        check(f"{path.name}: {kinds}", "; ".join(problems))


def problems_of_monitor(document):
    """By the models of the operator's custom resources, which ignore keys that they don't know."""
    from cloudcoil.models.prometheus_operator import v1

    try:
        model = v1.ServiceMonitor.model_validate(document)
    except ValueError as error:
        return [str(error)]
    known = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [f"ServiceMonitor: {path} is unknown" for path in missing(document, known, "")]


def missing(document, known, path):
    if isinstance(document, dict):
        for key, value in document.items():
            if not isinstance(known, dict) or key not in known:
                yield f"{path}.{key}"
            else:
                yield from missing(value, known[key], f"{path}.{key}")
    elif isinstance(document, list):
        for number, (value, other) in enumerate(zip(document, known)):
            yield from missing(value, other, f"{path}[{number}]")


def problems_of_selectors(found):
    """No schema knows that a selector has to match the pods, and a port its name."""
    deployments = [document for document in found if document["kind"] == "Deployment"]
    if not deployments:
        return
    (deployment,) = deployments
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for document in found:
        spec, kind = document.get("spec", {}), document["kind"]
        selectors = {
            "Deployment": lambda: spec["selector"]["matchLabels"],
            "Service": lambda: spec["selector"],
            "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
        }
        selector = selectors[kind]() if kind in selectors else labels
        if not selector or not selector.items() <= labels.items():
            yield f"{kind} {document['metadata']['name']} selects {selector}, and the pods have {labels}"
        if kind == "Service" and not {port["targetPort"] for port in spec["ports"]} <= ports:
            yield f"Service {document['metadata']['name']} leads to a port that isn't one of {ports}"
        if kind == "HorizontalPodAutoscaler" and spec["scaleTargetRef"]["name"] != deployment["metadata"]["name"]:
            yield f"HorizontalPodAutoscaler scales {spec['scaleTargetRef']}"
    grace = template["spec"]["terminationGracePeriodSeconds"]
    needed = sum(seconds(argument_of(container, name)) for name in ("--drain-delay", "--drain-timeout"))
    if grace <= needed:
        yield f"the grace period is {grace} s, and the drain takes up to {needed} s"


def argument_of(container, name):
    (value,) = [word.partition("=")[2] for word in container["args"] if word.startswith(f"{name}=")]
    return value


def seconds(duration):
    return float(duration.removesuffix("s"))


# The kubelet


def podman(*words, check=True):
    run = subprocess.run(["podman", *words], capture_output=True, text=True)
    if check and run.returncode:
        raise RuntimeError(f"podman {' '.join(words)}: {run.stderr}")
    return run.stdout.strip()


class Pod:
    """A pod, and its kubelet as a thread."""

    started = []

    def __init__(self, name, template, mounts=(), on_ready=lambda pod: None):
        self.name, self.spec, self.on_ready = name, template["spec"], on_ready
        (self.container,) = self.spec["containers"]
        self.ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.is_ready, self.is_removed, self.is_deleted = False, False, False
        self.restarts, self.killed = 0, False
        self.changed = threading.Condition()
        Pod.started.append(name)
        podman("run", "--detach", "--name", name, *options(self.spec, self.container), *mounts,
               self.container["image"], *self.container["args"])
        self.ip = podman("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
        self.kubelet = threading.Thread(target=self.run, daemon=True)
        self.kubelet.start()

    def run(self):
        self.probe_until("startupProbe")
        if self.is_deleted:
            return
        probes = [Probe(self, self.container[key], key) for key in ("livenessProbe", "readinessProbe")]
        while not self.is_deleted:
            for probe in probes:
                probe.run_if_due()
            time.sleep(0.05)

    def probe_until(self, key):
        probe = Probe(self, self.container[key], key)
        while not self.is_deleted and not probe.succeeded:
            probe.run_if_due()
            time.sleep(0.02)

    def outcome(self, key, succeeded):
        if key == "readinessProbe":
            with self.changed:
                self.is_ready = succeeded
                self.changed.notify_all()
            self.on_ready(self)
        elif not succeeded:
            # A pod that was started anew would be one that this rehearsal has failed for.
            self.restarts += 1

    def await_ready(self, timeout=60):
        with self.changed:
            return self.changed.wait_for(lambda: self.is_ready, timeout)

    def delete(self, signal_delay=0.0):
        """What follows a deletion on the node; returns when the container is gone. The kubelet goes on
        probing readiness."""
        time.sleep(signal_delay)
        podman("kill", "--signal", "TERM", self.name)
        grace = self.spec["terminationGracePeriodSeconds"]
        try:
            subprocess.run(["podman", "wait", self.name], capture_output=True, timeout=grace, check=True)
        except subprocess.TimeoutExpired:
            self.killed = True
            podman("kill", "--signal", "KILL", self.name)
        self.is_deleted = True
        self.code = podman("inspect", "--format", "{{.State.ExitCode}}", self.name)
        self.kubelet.join()

    def logs(self):
        run = subprocess.run(["podman", "logs", self.name], capture_output=True, text=True)
        return run.stdout + run.stderr


class Probe:
    """A probe by HTTP, with its period, its time-out and its thresholds."""

    def __init__(self, pod, spec, key):
        self.pod, self.key, self.get = pod, key, spec["httpGet"]
        self.period = spec.get("periodSeconds", 10)
        self.timeout = spec.get("timeoutSeconds", 1)
        self.failures_max = spec.get("failureThreshold", 3)
        self.failures, self.succeeded = 0, False
        self.due = time.monotonic()

    def run_if_due(self):
        if time.monotonic() < self.due:
            return
        self.due += self.period
        if self.succeeds():
            self.failures, self.succeeded = 0, True
            self.pod.outcome(self.key, True)
        else:
            self.failures += 1
            if self.failures >= self.failures_max:
                self.succeeded = False
                self.pod.outcome(self.key, False)

    def succeeds(self):
        port = self.pod.ports[self.get["port"]]
        connection = http.client.HTTPConnection(self.pod.ip, port, timeout=self.timeout)
        try:
            connection.request("GET", self.get["path"])
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def options(pod, container):
    """The options of podman for the security contexts; a field that has none is an error here."""
    words = []
    contexts = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    context = copy.deepcopy(contexts)
    context.pop("runAsNonRoot")
    words += ["--user", f"{context.pop('runAsUser')}:{context.pop('runAsGroup')}"]
    assert context.pop("seccompProfile") == {"type": "RuntimeDefault"}
    assert context.pop("allowPrivilegeEscalation") is False
    words += ["--security-opt", "no-new-privileges"]
    assert context.pop("readOnlyRootFilesystem") is True
    words += ["--read-only", "--read-only-tmpfs=false"]
    capabilities = context.pop("capabilities")
    words += [word for name in capabilities.pop("drop") for word in ("--cap-drop", name.lower())]
    assert not context and not capabilities, (context, capabilities)
    words += ["--memory", container["resources"]["limits"]["memory"].removesuffix("i").lower()]
    return words


# The endpoints


class Endpoints:
    """The backends of HAProxy, which learn of a change some time later."""

    PLACES = 8

    def __init__(self, work):
        self.path = f"{work}/haproxy.sock"
        self.places, self.lock = {}, threading.Lock()
        config = pathlib.Path(work, "haproxy.cfg")
        config.write_text(CONFIG.format(socket=self.path, places=self.PLACES))
        with open(f"{work}/haproxy.err", "w") as err:
            self.haproxy = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(config)], stderr=err)
        while not os.path.exists(self.path):
            time.sleep(0.05)

    def add(self, pod):
        with self.lock:
            if pod.name in self.places or pod.is_removed:
                return
            place = next(n for n in range(1, self.PLACES + 1) if n not in self.places.values())
            self.places[pod.name] = place
            for backend in ("kube-proxy-pods", "ingress-pods"):
                self.command(f"set server {backend}/pod{place} addr {pod.ip} port {pod.ports['http']}")
                self.command(f"set server {backend}/pod{place} state ready")

    def remove(self, pod):
        with self.lock:
            place = self.places.pop(pod.name, None)
            if place is not None:
                for backend in ("kube-proxy-pods", "ingress-pods"):
                    self.command(f"set server {backend}/pod{place} state maint")

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(self.path)
            stream.sendall(text.encode() + b"\n")
            stream.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: stream.recv(4096), b"")).decode().strip()
        # A change of an address is confirmed by a sentence.
        if answer and "changed" not in answer and "no need to change" not in answer:
            raise RuntimeError(f"{text}: {answer}")

    def end(self):
        self.haproxy.terminate()
        self.haproxy.wait()


# The one chooses a pod for each connection and tries no other, as kube-proxy does; the other chooses one
# for each request and keeps connections to the pods, as an ingress controller does.
CONFIG = """
global
    stats socket {socket} mode 600 level admin
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend kube-proxy
    mode tcp
    bind 127.0.0.1:8001
    default_backend kube-proxy-pods
backend kube-proxy-pods
    mode tcp
    balance roundrobin
    retries 0
    server-template pod 1-{places} 127.0.0.1:1 disabled
frontend ingress
    mode http
    bind 127.0.0.1:8002
    default_backend ingress-pods
backend ingress-pods
    mode http
    balance roundrobin
    option redispatch
    server-template pod 1-{places} 127.0.0.1:1 disabled
"""


# The Deployment controller


def rollout(work, drain_delay=""):
    base = f"{work}/manifests/base.yaml"
    template = only(base, "Deployment")["spec"]["template"]
    strategy = only(base, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}, strategy
    replicas = only(base, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    (container,) = template["spec"]["containers"]
    if drain_delay:
        container["args"] = [f"--drain-delay={drain_delay}" if word.startswith("--drain-delay=") else word
                             for word in container["args"]]
    endpoints = Endpoints(work)
    try:
        update(work, endpoints, template, replicas)
    finally:
        endpoints.end()


def update(work, endpoints, template, replicas):
    """A rolling update of all replicas under load, with never more than one pod too many."""
    (container,) = template["spec"]["containers"]

    def on_ready(pod):
        (endpoints.add if pod.is_ready else endpoints.remove)(pod)

    def start(number, release):
        container["image"] = f"registry.example/site:{release}"
        pod = Pod(f"pod-{release}-{number}", template, on_ready=on_ready)
        if not pod.await_ready():
            raise RuntimeError(f"{pod.name} isn't ready: {pod.logs()}")
        return pod

    old = [start(number, 1) for number in range(replicas)]
    connections, requests = (f"http://127.0.0.1:{port}/body.txt" for port in (8001, 8002))
    loads = {
        "kube-proxy, a connection for each request": load(work, connections, "--close", "--rate", "300"),
        "ingress, kept alive": load(work, requests, "--rate", "600"),
    }
    begin = time.monotonic()
    # SIGTERM and the removal from the endpoints race: each order, and both at once.
    deletions, new = [], []
    for number, (pod, delays) in enumerate(zip(old, [(0.0, 3.0), (1.5, 0.0), (0.0, 0.0)])):
        new.append(start(number, 2))
        deletions.append(delete(pod, endpoints, *delays))
    for deletion in deletions:
        deletion.join()
    took = time.monotonic() - begin
    print(f"      the rolling update took {took:.1f} s")
    check("rollout: it is over before the load", "" if all(it.poll() is None for it in loads.values()) else "it isn't")
    for name, process in loads.items():
        output, _ = process.communicate()
        check(f"rollout: {name}: no failed request", problem_of_load(output))
    for pod in old:
        # HAProxy resets connections to pods that it has no use for any more; none may be lost.
        last = pod.logs().splitlines()[-1]
        ended_well = pod.code == "0" and not pod.killed and ": served " in last and "lost" not in last
        check(f"rollout: {pod.name} drains within the grace period", "" if ended_well else pod.logs())
    check("rollout: no liveness probe fails", "".join(pod.name for pod in old + new if pod.restarts))
    pages = {fetch(8001) for _ in range(2 * replicas)}
    check("rollout: all pods serve the new release", "" if pages == {b"<h1>release 2</h1>\n"} else str(pages))
    for pod in new:
        pod.is_deleted = True


def delete(pod, endpoints, signal_delay, removal_delay):
    """Deletes a pod: both things happen at the same time, and each takes its own."""
    def remove():
        time.sleep(removal_delay)
        pod.is_removed = True
        endpoints.remove(pod)

    threads = [threading.Thread(target=remove), threading.Thread(target=pod.delete, args=[signal_delay])]
    both = threading.Thread(target=lambda: [thread.join() for thread in threads])
    for thread in (*threads, both):
        thread.start()
    return both


def load(work, url, *words, seconds=40):
    command = [f"{work}/uringload", "--quiet", "--json", "-", "-c", "8", "-d", f"{seconds}s", *words,
               url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def problem_of_load(output):
    (run,) = json.loads(output)["runs"]
    wrong = {key: run[key] for key in ("failed", "not_sent", "outstanding", "connects_failed") if run[key]}
    print(f"      {run['sent']} requests sent, {run['requests']} answered in time and correctly")
    return json.dumps([wrong, run["failures"]]) if wrong or not run["requests"] else ""


def fetch(port, ip="127.0.0.1"):
    connection = http.client.HTTPConnection(ip, port, timeout=10)
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    return body


# The volumes


def write_config_map(folder, version, files):
    """Updates a volume as the kubelet's atomic writer does: a folder for each version, a link to it that is
    switched by rename(2), and a link through that one for each file."""
    data = folder / f"..2026_11_28_10_00_{version:02}.1"
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    old = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
    (folder / "..data_tmp").symlink_to(data.name)
    os.rename(folder / "..data_tmp", folder / "..data")
    if old:
        shutil.rmtree(folder / old)


def configmap(work):
    path = f"{work}/manifests/configmap.yaml"
    template = only(path, "Deployment")["spec"]["template"]
    files = only(path, "ConfigMap")["data"]
    (volume,) = template["spec"]["volumes"]
    assert volume["configMap"]["name"] == only(path, "ConfigMap")["metadata"]["name"], volume
    mount = the_mount(template, volume)
    folder = pathlib.Path(work, "volume")
    write_config_map(folder, 1, files)
    folder.chmod(0o755)
    pod = Pod("pod-configmap", template, ["--volume", f"{folder}:{mount['mountPath']}:ro"])
    check("ConfigMap: the pod is ready", "" if pod.await_ready() else pod.logs())
    check("ConfigMap: its file is served", compare(fetch(8080, pod.ip), files["index.html"]))
    process = load(work, f"http://{pod.ip}:8080/", "--rate", "500", seconds=4)
    write_config_map(folder, 2, {"index.html": "<h1>changed</h1>\n"})
    check("ConfigMap: a change alone changes nothing", compare(fetch(8080, pod.ip), files["index.html"]))
    podman("kill", "--signal", "HUP", pod.name)
    deadline = time.monotonic() + 30
    while "reloaded: generation 2" not in pod.logs() and time.monotonic() < deadline:
        time.sleep(0.1)
    check("ConfigMap: SIGHUP reloads it", compare(fetch(8080, pod.ip), "<h1>changed</h1>\n"))
    output, _ = process.communicate()
    check("ConfigMap: no failed request meanwhile", problem_of_load(output))
    pod.is_deleted = True


def image_volume(work):
    path = f"{work}/manifests/image-volume.yaml"
    template = only(path, "Deployment")["spec"]["template"]
    (volume,) = template["spec"]["volumes"]
    mount = the_mount(template, volume)
    source = f"type=image,source={volume['image']['reference']},destination={mount['mountPath']}"
    pod = Pod("pod-image", template, ["--mount", source])
    check("image volume: the pod is ready", "" if pod.await_ready() else pod.logs())
    check("image volume: its file is served", compare(fetch(8080, pod.ip), "<h1>release 1</h1>\n"))
    pod.is_deleted = True


def the_mount(template, volume):
    (container,) = template["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == volume["name"] and mount["readOnly"] is True, mount
    return mount


def compare(got, expected):
    return "" if got == expected.encode() else f"{got!r}"


main()
