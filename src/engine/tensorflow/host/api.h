/*
 * api.h - the part of TensorFlow's C API that the host uses
 *
 * The functions are looked up in the library that the user has, so that neither its headers nor the
 * library itself are needed to build Sluice. The prototypes are those of the public C API, which is
 * stable: what is here has been the same since TensorFlow 2.4.
 *
 * Source: tensorflow.org/install/lang_c; tensorflow/c/c_api.h, tf_tensor.h, tf_tstring.h,
 * tf_status.h.
 */
#ifndef SL_TF_HOST_API_H
#define SL_TF_HOST_API_H

#include <stdint.h>

#include "sluice/status.h"

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Operation TF_Operation;
typedef struct TF_Session TF_Session;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Library TF_Library;

typedef struct TF_Output {
    TF_Operation *oper;
    int index;
} TF_Output;

typedef struct TF_Buffer {
    const void *data;
    size_t length;
    void (*data_deallocator)(void *data, size_t length);
} TF_Buffer;

/* Opaque: only the library's own functions look inside. The size is checked against the first
 * string tensor that the library makes. */
typedef struct TF_TString {
    uint64_t opaque[3];
} TF_TString;

/* result, name, parameters */
#define TF_FUNCTIONS(X)                                                                      \
    X(const char *, Version, (void))                                                         \
    X(size_t, DataTypeSize, (int))                                                           \
    X(TF_Status *, NewStatus, (void))                                                        \
    X(void, DeleteStatus, (TF_Status *))                                                     \
    X(int, GetCode, (const TF_Status *))                                                     \
    X(const char *, Message, (const TF_Status *))                                            \
    X(TF_Buffer *, NewBuffer, (void))                                                        \
    X(TF_Buffer *, NewBufferFromString, (const void *, size_t))                              \
    X(void, DeleteBuffer, (TF_Buffer *))                                                     \
    X(TF_Tensor *, NewTensor,                                                                \
      (int, const int64_t *, int, void *, size_t, void (*)(void *, size_t, void *), void *)) \
    X(TF_Tensor *, AllocateTensor, (int, const int64_t *, int, size_t))                      \
    X(void, DeleteTensor, (TF_Tensor *))                                                     \
    X(int, TensorType, (const TF_Tensor *))                                                  \
    X(int, NumDims, (const TF_Tensor *))                                                     \
    X(int64_t, Dim, (const TF_Tensor *, int))                                                \
    X(size_t, TensorByteSize, (const TF_Tensor *))                                           \
    X(void *, TensorData, (const TF_Tensor *))                                               \
    X(void, StringInit, (TF_TString *))                                                      \
    X(void, StringCopy, (TF_TString *, const char *, size_t))                                \
    X(const char *, StringGetDataPointer, (const TF_TString *))                              \
    X(size_t, StringGetSize, (const TF_TString *))                                           \
    X(void, StringDealloc, (TF_TString *))                                                   \
    X(TF_SessionOptions *, NewSessionOptions, (void))                                        \
    X(void, SetConfig, (TF_SessionOptions *, const void *, size_t, TF_Status *))             \
    X(void, DeleteSessionOptions, (TF_SessionOptions *))                                     \
    X(TF_Graph *, NewGraph, (void))                                                          \
    X(void, DeleteGraph, (TF_Graph *))                                                       \
    X(void, GraphToGraphDef, (TF_Graph *, TF_Buffer *, TF_Status *))                         \
    X(TF_Operation *, GraphOperationByName, (TF_Graph *, const char *))                      \
    X(int, OperationNumOutputs, (TF_Operation *))                                            \
    X(int, OperationOutputType, (TF_Output))                                                 \
    X(TF_Session *, LoadSessionFromSavedModel,                                               \
      (const TF_SessionOptions *, const TF_Buffer *, const char *, const char *const *, int, \
       TF_Graph *, TF_Buffer *, TF_Status *))                                                \
    X(void, SessionRun,                                                                      \
      (TF_Session *, const TF_Buffer *, const TF_Output *, TF_Tensor *const *, int,          \
       const TF_Output *, TF_Tensor **, int, const TF_Operation *const *, int, TF_Buffer *,  \
       TF_Status *))                                                                         \
    X(TF_Library *, LoadLibrary, (const char *, TF_Status *))                                \
    X(TF_Buffer *, GetAllOpList, (void))

typedef struct tf_api {
#define X(result, name, parameters) result(*name) parameters;
    TF_FUNCTIONS(X)
#undef X
} tf_api;

/* Filled by tf_open, then never changed: TF.NewStatus(). */
extern tf_api TF;

/* Opens the library. NOT_FOUND: cannot be opened, in dlopen's words. FAILED_PRECONDITION: a
 * function is missing, which says that it is too old or another library. */
sl_code tf_open(const char *path, sl_status *st);

#endif
