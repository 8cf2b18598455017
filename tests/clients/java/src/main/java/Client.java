import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import tensorflow.Tensor.TensorProto;
import tensorflow.TensorShape.TensorShapeProto;
import tensorflow.Types.DataType;
import tensorflow.serving.GetModelMetadata.GetModelMetadataRequest;
import tensorflow.serving.GetModelMetadata.SignatureDefMap;
import tensorflow.serving.GetModelStatus.GetModelStatusRequest;
import tensorflow.serving.GetModelStatus.ModelVersionStatus;
import tensorflow.serving.Model.ModelSpec;
import tensorflow.serving.ModelServiceGrpc;
import tensorflow.serving.Predict.PredictRequest;
import tensorflow.serving.Predict.PredictResponse;
import tensorflow.serving.PredictionServiceGrpc;
import tensorflow.serving.PredictionServiceGrpc.PredictionServiceBlockingStub;

/**
 * A Java client of the server, with the stubs that protoc makes of the project's own proto/ files.
 *
 *     Client HOST:PORT [CA.pem]
 *
 * It prints "ok" and returns 0, or says what it got instead. The model is examples/models/my_model.
 */
public class Client {
    static void check(boolean ok, Object got) {
        if (!ok)
            throw new AssertionError("got: " + got);
    }

    static PredictRequest ask(String model, int rows) {
        TensorProto.Builder tensor = TensorProto.newBuilder().setDtype(DataType.DT_FLOAT).setTensorShape(
            TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dim.newBuilder().setSize(rows))
                .addDim(TensorShapeProto.Dim.newBuilder().setSize(3)));
        for (int i = 0; i < rows; i++)
            tensor.addFloatVal(1).addFloatVal(2).addFloatVal(3);
        return PredictRequest.newBuilder().setModelSpec(ModelSpec.newBuilder().setName(model))
            .putInputs("input_example", tensor.build()).build();
    }

    static void predict(PredictionServiceBlockingStub stub, int rows) {
        PredictResponse reply = stub.withDeadlineAfter(30, TimeUnit.SECONDS).predict(ask("my_model", rows));
        check(reply.getModelSpec().getVersion().getValue() == 1, reply.getModelSpec());
        List<Float> output = reply.getOutputsOrThrow("output").getFloatValList();
        check(output.size() == rows && output.stream().allMatch(v -> v == 4.75f), output.size());
    }

    static void fails(Runnable call, Status.Code code, String text) {
        try {
            call.run();
        } catch (StatusRuntimeException e) {
            check(e.getStatus().getCode() == code && ("" + e.getStatus().getDescription()).contains(text), e);
            return;
        }
        throw new AssertionError("it succeeded, instead of " + code);
    }

    static void health(ManagedChannel channel) {
        HealthGrpc.HealthBlockingStub probe = HealthGrpc.newBlockingStub(channel);
        for (String name : new String[] {"", "my_model", "tensorflow.serving.PredictionService"}) {
            HealthCheckResponse is = probe.check(HealthCheckRequest.newBuilder().setService(name).build());
            check(is.getStatus() == ServingStatus.SERVING, name + ": " + is);
        }
        fails(() -> probe.check(HealthCheckRequest.newBuilder().setService("nobody").build()), Status.Code.NOT_FOUND, "");
        // A stream that ends when its deadline does.
        Iterator<HealthCheckResponse> watch =
            probe.withDeadlineAfter(500, TimeUnit.MILLISECONDS).watch(HealthCheckRequest.getDefaultInstance());
        check(watch.next().getStatus() == ServingStatus.SERVING, watch);
        fails(watch::hasNext, Status.Code.DEADLINE_EXCEEDED, "");
    }

    public static void main(String[] args) throws Exception {
        ChannelCredentials credentials = args.length > 1
            ? TlsChannelCredentials.newBuilder().trustManager(new File(args[1])).build()
            : InsecureChannelCredentials.create();
        ManagedChannel channel = Grpc.newChannelBuilder(args[0], credentials).overrideAuthority("localhost").build();
        PredictionServiceBlockingStub stub = PredictionServiceGrpc.newBlockingStub(channel)
            .withMaxInboundMessageSize(1 << 28);

        predict(stub, 1);
        predict(stub, 200_000);
        predict(stub.withCompression("gzip"), 1000);
        ExecutorService pool = Executors.newFixedThreadPool(16);
        List<Future<?>> calls = new ArrayList<>();
        for (int i = 0; i < 1000; i++)
            calls.add(pool.submit(() -> predict(stub, 1)));
        for (Future<?> call : calls)
            call.get();
        pool.shutdown();

        fails(() -> stub.predict(ask("nobody", 1)), Status.Code.NOT_FOUND,
            "Servable not found for request: Latest(nobody)");
        ModelSpec model = ModelSpec.newBuilder().setName("my_model").build();
        SignatureDefMap signatures = stub.getModelMetadata(GetModelMetadataRequest.newBuilder().setModelSpec(model)
            .addMetadataField("signature_def").build()).getMetadataOrThrow("signature_def").unpack(SignatureDefMap.class);
        check(signatures.getSignatureDefOrThrow("serving_default").getInputsOrThrow("input_example").getDtype()
            == DataType.DT_FLOAT, signatures);
        ModelVersionStatus state = ModelServiceGrpc.newBlockingStub(channel)
            .getModelStatus(GetModelStatusRequest.newBuilder().setModelSpec(model).build()).getModelVersionStatus(0);
        check(state.getVersion() == 1 && state.getState() == ModelVersionStatus.State.AVAILABLE, state);
        health(channel);
        channel.shutdown();
        check(channel.awaitTermination(10, TimeUnit.SECONDS), "the channel does not end");
        System.out.println("ok");
    }
}
