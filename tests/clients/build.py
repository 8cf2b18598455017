"""Builds the clients that no package ships, into build/: programs of Go modules, a Go and a Java client with the stubs
that protoc makes of proto/. Versions are pinned here, in go/go.mod and in java/pom.xml."""
import functools
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / "build/go"

GO = ROOT / "tools/go"
PROGRAMS = {
    "h2spec": "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible",
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "ghz": "github.com/bojand/ghz/cmd/ghz@v0.121.0",
    "grpc-health-probe": "github.com/grpc-ecosystem/grpc-health-probe@v0.4.42",
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0",
}
# The packages of proto/ that a client needs.
PROTOS = ["tensorflow_serving/apis", "tensorflow_serving/config", "tensorflow/core", "grpc/health"]


def command(*args, what, env=None, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=900,
                          env={**os.environ, **(env or {})}, **kw)
    if done.returncode:
        pytest.fail(f"{what} cannot be built:\n{(done.stdout + done.stderr)[-3000:]}", pytrace=False)
    return done.stdout


def program(name, why):
    found = shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not installed ({why})", pytrace=False)
    return found


@functools.cache
def go_program(name):
    """A program of a Go module, at the version above; built once."""
    version = PROGRAMS[name].rsplit("@", 1)[1]
    path = BIN / version / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command(GO, "install", PROGRAMS[name], what=name, env={"GOBIN": str(path.parent), "GOFLAGS": "-mod=mod"})
    return path


def newer(made, sources):
    return made.exists() and all(made.stat().st_mtime > s.stat().st_mtime for s in sources)


def protos():
    return sorted(p.relative_to(ROOT / "proto") for folder in PROTOS for p in (ROOT / "proto" / folder).rglob("*.proto"))


@functools.cache
def go_client():
    where, made = ROOT / "build/clients/go", BIN / "client"
    sources = [*(HERE / "go").iterdir(), *(ROOT / "proto" / p for p in protos()), pathlib.Path(__file__)]
    if newer(made, sources):
        return made
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(HERE / "go", where)
    # The .proto files name no Go package: every folder becomes one. google/ is what the Go module brings.
    maps = [f"M{p}=sluice/client/gen/{p.parent}" for p in protos()]
    maps += [f"Mgoogle/protobuf/{n}.proto=google.golang.org/protobuf/types/known/{n}pb" for n in ("any", "wrappers")]
    plugins = [f"--plugin={go_program(n)}" for n in ("protoc-gen-go", "protoc-gen-go-grpc")]
    command(program("protoc", "tools/deps clients installs it"), *plugins, f"-I{ROOT / 'proto'}", f"--go_out={where}",
            f"--go-grpc_out={where}", *(f"--{o}_opt=module=sluice/client,{m}" for o in ("go", "go-grpc") for m in maps),
            *protos(), what="the Go client's stubs")
    command(GO, "build", "-o", made, ".", cwd=where, what="the Go client", env={"GOFLAGS": "-mod=readonly"})
    return made


@functools.cache
def java_client():
    """The command that runs the Java client."""
    where = ROOT / "build/clients/java"
    made = where / "classpath"
    sources = [p for p in (HERE / "java").rglob("*") if p.is_file()]
    if not newer(made, [*sources, *(ROOT / "proto" / p for p in protos())]):
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(HERE / "java", where)
        for p in protos():  # google/ is what protobuf-java brings
            (where / "src/main/proto" / p).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "proto" / p, where / "src/main/proto" / p)
        command(program("mvn", "tools/deps clients installs maven"), "-q", "-B", "compile",
                "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath", f"-Dmdep.outputFile={made}",
                cwd=where, what="the Java client")
    return [program("java", "tools/deps clients installs openjdk-17"), "-cp",
            f"{where / 'target/classes'}:{made.read_text().strip()}", "Client"]
