// A Go client of the server, with the stubs that protoc makes of the project's own proto/ files.
//
//	client HOST:PORT [CA.pem]
//
// It prints "ok" and returns 0, or says what it got instead. The model is examples/models/my_model.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	health "sluice/client/gen/grpc/health/v1"
	"sluice/client/gen/tensorflow/core/framework"
	serving "sluice/client/gen/tensorflow_serving/apis"
)

func check(ok bool, format string, args ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}
}

func ask(model string, rows int) *serving.PredictRequest {
	values := make([]float32, 0, 3*rows)
	for i := 0; i < rows; i++ {
		values = append(values, 1, 2, 3)
	}
	return &serving.PredictRequest{
		ModelSpec: &serving.ModelSpec{Name: model},
		Inputs: map[string]*framework.TensorProto{"input_example": {
			Dtype: framework.DataType_DT_FLOAT,
			TensorShape: &framework.TensorShapeProto{Dim: []*framework.TensorShapeProto_Dim{
				{Size: int64(rows)}, {Size: 3}}},
			FloatVal: values}}}
}

func predict(c serving.PredictionServiceClient, rows int, opts ...grpc.CallOption) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reply, err := c.Predict(ctx, ask("my_model", rows), opts...)
	check(err == nil, "Predict: %v", err)
	check(reply.ModelSpec.Name == "my_model" && reply.ModelSpec.GetVersion().Value == 1, "model_spec: %v", reply.ModelSpec)
	got := reply.Outputs["output"].GetFloatVal()
	check(len(got) == rows, "%d values for %d rows", len(got), rows)
	for _, v := range got {
		check(v == 4.75, "output: %v", v)
	}
}

func fails(err error, code codes.Code, text string) {
	check(status.Code(err) == code && strings.Contains(status.Convert(err).Message(), text),
		"wanted %v with %q, got: %v", code, text, err)
}

func main() {
	creds := insecure.NewCredentials()
	if len(os.Args) > 2 {
		var err error
		creds, err = credentials.NewClientTLSFromFile(os.Args[2], "localhost")
		check(err == nil, "%v", err)
	}
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(creds))
	check(err == nil, "%v", err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	prediction := serving.NewPredictionServiceClient(conn)

	predict(prediction, 1)
	predict(prediction, 200_000)
	predict(prediction, 1000, grpc.UseCompressor("gzip"))
	var wait sync.WaitGroup
	for i := 0; i < 64; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := 0; n < 50; n++ {
				predict(prediction, 1)
			}
		}()
	}
	wait.Wait()

	_, err = prediction.Predict(ctx, ask("nobody", 1))
	fails(err, codes.NotFound, "Servable not found for request: Latest(nobody)")
	wrong := ask("my_model", 1)
	wrong.ModelSpec.SignatureName = "none"
	_, err = prediction.Predict(ctx, wrong)
	fails(err, codes.FailedPrecondition, `Serving signature key "none" not found.`)

	metadata, err := prediction.GetModelMetadata(ctx, &serving.GetModelMetadataRequest{
		ModelSpec: &serving.ModelSpec{Name: "my_model"}, MetadataField: []string{"signature_def"}})
	check(err == nil, "GetModelMetadata: %v", err)
	var signatures serving.SignatureDefMap
	err = metadata.Metadata["signature_def"].UnmarshalTo(&signatures)
	check(err == nil && signatures.SignatureDef["serving_default"].Inputs["input_example"].Dtype ==
		framework.DataType_DT_FLOAT, "signature_def: %v, %v", err, &signatures)

	version := &serving.ModelSpec_Version{Version: wrapperspb.Int64(1)}
	state, err := serving.NewModelServiceClient(conn).GetModelStatus(ctx, &serving.GetModelStatusRequest{
		ModelSpec: &serving.ModelSpec{Name: "my_model", VersionChoice: version}})
	check(err == nil && len(state.ModelVersionStatus) == 1 && state.ModelVersionStatus[0].State ==
		serving.ModelVersionStatus_AVAILABLE, "GetModelStatus: %v, %v", err, state)

	probe := health.NewHealthClient(conn)
	for _, name := range []string{"", "my_model", "tensorflow.serving.PredictionService"} {
		is, err := probe.Check(ctx, &health.HealthCheckRequest{Service: name})
		check(err == nil && is.Status == health.HealthCheckResponse_SERVING, "Check(%q): %v, %v", name, err, is)
	}
	_, err = probe.Check(ctx, &health.HealthCheckRequest{Service: "nobody"})
	fails(err, codes.NotFound, "")

	// A stream that ends when its deadline does, and one that is cancelled.
	short, done := context.WithTimeout(ctx, 300*time.Millisecond)
	defer done()
	watch, err := probe.Watch(short, &health.HealthCheckRequest{})
	check(err == nil, "Watch: %v", err)
	is, err := watch.Recv()
	check(err == nil && is.Status == health.HealthCheckResponse_SERVING, "Watch: %v, %v", err, is)
	_, err = watch.Recv()
	fails(err, codes.DeadlineExceeded, "")
	short, done = context.WithCancel(ctx)
	watch, err = probe.Watch(short, &health.HealthCheckRequest{Service: "my_model"})
	check(err == nil, "Watch: %v", err)
	_, err = watch.Recv()
	check(err == nil, "Watch: %v", err)
	done()
	_, err = watch.Recv()
	fails(err, codes.Canceled, "")
	predict(prediction, 1)
	fmt.Println("ok")
}
