/* The embedded .proto files, found by name and by what they define. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/grpc/descriptors.h"

static const char *file_of(const char *symbol)
{
    static char name[128];
    int i = sl_descriptor_by_symbol(sl_str_of(symbol));
    if (i < 0)
        return "none";
    sl_str s = sl_descriptor_get(i)->name;
    memcpy(name, s.p, s.n);
    name[s.n] = '\0';
    return name;
}

static void symbols_of_every_kind_are_found(void **state)
{
    static const struct {
        const char *symbol, *file;
    } known[] = {
        {"tensorflow.serving.PredictRequest", "tensorflow_serving/apis/predict.proto"},
        {"tensorflow.serving.PredictRequest.inputs", "tensorflow_serving/apis/predict.proto"},
        {"tensorflow.serving.PredictRequest.InputsEntry", "tensorflow_serving/apis/predict.proto"},
        {"tensorflow.serving.PredictRequest.InputsEntry.value",
         "tensorflow_serving/apis/predict.proto"},
        {"tensorflow.serving.PredictionService",
         "tensorflow_serving/apis/prediction_service.proto"},
        {"tensorflow.serving.PredictionService.Predict",
         "tensorflow_serving/apis/prediction_service.proto"},
        {"tensorflow.DataType", "tensorflow/core/framework/types.proto"},
        {"tensorflow.DT_FLOAT", "tensorflow/core/framework/types.proto"},
        {"tensorflow.serving.ModelVersionStatus.AVAILABLE",
         "tensorflow_serving/apis/get_model_status.proto"},
        {"tensorflow.serving.ModelSpec.version_choice", "tensorflow_serving/apis/model.proto"},
        {"tensorflow.error.Code", "tensorflow/core/protobuf/error_codes.proto"},
        {"google.protobuf.Any", "google/protobuf/any.proto"},
        {"grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_string_equal(file_of(known[i].symbol), known[i].file);
}

static void what_is_not_defined_is_not_found(void **state)
{
    static const char *const unknown[] = {"",
                                          ".",
                                          "tensorflow",
                                          "tensorflow.",
                                          "tensorflow.serving",
                                          ".tensorflow.serving.PredictRequest",
                                          "tensorflow.serving.PredictRequest.",
                                          "tensorflow.serving.PredictRequest.input",
                                          "tensorflow.serving.PredictRequest.inputs.x",
                                          "tensorflow.serving.SessionService",
                                          "PredictRequest"};
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(sl_descriptor_by_symbol(sl_str_of(unknown[i])), -1);
    assert_int_equal(sl_descriptor_by_name(SL_STR("predict.proto")), -1);
}

static void a_file_comes_with_all_that_it_imports(void **state)
{
    bool marked[SL_DESCRIPTORS_MAX];
    (void)state;
    int n = sl_descriptor_by_name(SL_STR("tensorflow_serving/apis/predict.proto"));
    sl_descriptor_closure(n, marked);
    assert_true(marked[sl_descriptor_by_name(SL_STR("tensorflow/core/framework/types.proto"))]);
    assert_true(marked[sl_descriptor_by_name(SL_STR("google/protobuf/wrappers.proto"))]);
    assert_false(marked[sl_descriptor_by_name(SL_STR("google/protobuf/any.proto"))]);
    assert_true(sl_descriptor_count() > 40);
}

static void messages_are_told_from_other_symbols(void **state)
{
    (void)state;
    assert_true(sl_descriptor_is_message(SL_STR("tensorflow.TensorProto")));
    assert_false(sl_descriptor_is_message(SL_STR("tensorflow.DataType")));
    assert_false(sl_descriptor_is_message(SL_STR("tensorflow.nothing")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_of_every_kind_are_found),
        cmocka_unit_test(what_is_not_defined_is_not_found),
        cmocka_unit_test(a_file_comes_with_all_that_it_imports),
        cmocka_unit_test(messages_are_told_from_other_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
