/*
 * opdefs.c - the outputs of every op that a graph may name
 *
 * References inside functions name an output by its argument ("Unique:idx:0"), so a loader must
 * know the outputs of every op, also of those that only another engine can compute. One line an op:
 *
 *     "y:T idx:out_idx=int32"            name:type, the type being a dtype or the attribute that holds
 *                                        it, with its default where it has one
 *     "output:T*N"                       N times, N being an attribute
 *     "output:Tout[]"                    one for each type of a list attribute
 *     "!..."                             the op is stateful
 *
 * Sorted bytewise by name. Source: tensorflow/core/ops (names, outputs and defaults are its
 * contract).
 */
#include <stdlib.h>

#include "engine/native/op.h"

typedef struct opdef {
    const char *name;
    const char *outputs;
} opdef;

/* clang-format off */
static const opdef opdefs[] = {
    {"Abs", "y:T"},
    {"Acos", "y:T"},
    {"Acosh", "y:T"},
    {"Add", "z:T"},
    {"AddN", "sum:T"},
    {"AddV2", "z:T"},
    {"AdjustContrast", "output:float"},
    {"AdjustContrastv2", "output:T=float"},
    {"AdjustHue", "output:T=float"},
    {"AdjustSaturation", "output:T=float"},
    {"All", "output:bool"},
    {"Angle", "output:Tout=float"},
    {"AnonymousHashTable", "!table_handle:resource"},
    {"Any", "output:bool"},
    {"ApproximateEqual", "z:bool"},
    {"ArgMax", "output:output_type=int64"},
    {"ArgMin", "output:output_type=int64"},
    {"AsString", "output:string"},
    {"Asin", "y:T"},
    {"Asinh", "y:T"},
    {"Assert", "!"},
    {"Assign", "output_ref:T"},
    {"AssignAdd", "output_ref:T"},
    {"AssignAddVariableOp", "!"},
    {"AssignSub", "output_ref:T"},
    {"AssignSubVariableOp", "!"},
    {"AssignVariableOp", "!"},
    {"AssignVariableXlaConcatND", "!"},
    {"Atan", "y:T"},
    {"Atan2", "z:T"},
    {"Atanh", "y:T"},
    {"AudioSpectrogram", "spectrogram:float"},
    {"AudioSummary", "summary:string"},
    {"AvgPool", "output:T"},
    {"AvgPool3D", "output:T"},
    {"AvgPoolGrad", "output:T"},
    {"BandedTriangularSolve", "output:T"},
    {"BatchMatMul", "output:T"},
    {"BatchMatMulV2", "output:T"},
    {"BatchMatMulV3", "output:Tout"},
    {"BatchToSpace", "output:T"},
    {"BatchToSpaceND", "output:T"},
    {"BesselI0", "y:T"},
    {"BesselI0e", "y:T"},
    {"BesselI1", "y:T"},
    {"BesselI1e", "y:T"},
    {"BesselJ0", "y:T"},
    {"Betainc", "z:T"},
    {"BiasAdd", "output:T"},
    {"Bincount", "bins:T"},
    {"Bitcast", "output:type"},
    {"BitwiseAnd", "z:T"},
    {"BitwiseOr", "z:T"},
    {"BitwiseXor", "z:T"},
    {"BlockLSTM", "i:T cs:T f:T o:T ci:T co:T h:T"},
    {"BlockLSTMV2", "i:T cs:T f:T o:T ci:T co:T h:T"},
    {"BroadcastArgs", "r0:T=int32"},
    {"BroadcastTo", "output:T"},
    {"Bucketize", "output:int32"},
    {"CSRSparseMatrixToDense", "dense_output:type"},
    {"CTCBeamSearchDecoder", "decoded_indices:int64*top_paths decoded_values:int64*top_paths decoded_shape:int64*top_paths log_probability:T=float"},
    {"CTCGreedyDecoder", "decoded_indices:int64 decoded_values:int64 decoded_shape:int64 log_probability:T=float"},
    {"Case", "!output:Tout[]"},
    {"CaseFoldUTF8", "output:string"},
    {"Cast", "y:DstT"},
    {"Ceil", "y:T"},
    {"CheckNumerics", "!output:T"},
    {"Cholesky", "output:T"},
    {"CholeskyGrad", "output:T"},
    {"ClipByValue", "output:T"},
    {"CombinedNonMaxSuppression", "nmsed_boxes:float nmsed_scores:float nmsed_classes:float valid_detections:int32"},
    {"Complex", "out:Tout=complex64"},
    {"ComplexAbs", "y:Tout=float"},
    {"Concat", "output:T"},
    {"ConcatV2", "output:T"},
    {"Conj", "output:T=complex64"},
    {"Const", "output:dtype"},
    {"ControlTrigger", ""},
    {"Conv2D", "output:T"},
    {"Conv2DBackpropFilter", "output:T"},
    {"Conv2DBackpropInput", "output:T"},
    {"Conv3D", "output:T"},
    {"Conv3DBackpropInput", "output:T"},
    {"Conv3DBackpropInputV2", "output:T"},
    {"Copy", "output:T"},
    {"Cos", "y:T"},
    {"Cosh", "y:T"},
    {"CountUpTo", "output:T"},
    {"CropAndResize", "crops:float"},
    {"Cross", "product:T"},
    {"CrossReplicaSum", "!output:T"},
    {"CudnnRNN", "!output:T output_h:T output_c:T reserve_space:T"},
    {"CudnnRNNV2", "!output:T output_h:T output_c:T reserve_space:T host_reserved:int8"},
    {"CudnnRNNV3", "!output:T output_h:T output_c:T reserve_space:T host_reserved:int8"},
    {"Cumprod", "out:T"},
    {"Cumsum", "out:T"},
    {"CumulativeLogsumexp", "out:T"},
    {"DecodeAndCropJpeg", "image:uint8"},
    {"DecodeBase64", "output:string"},
    {"DecodeBmp", "image:uint8"},
    {"DecodeCSV", "output:OUT_TYPE[]"},
    {"DecodeCompressed", "output:string"},
    {"DecodeGif", "image:uint8"},
    {"DecodeImage", "image:dtype=uint8"},
    {"DecodeJSONExample", "binary_examples:string"},
    {"DecodeJpeg", "image:uint8"},
    {"DecodePaddedRaw", "output:out_type"},
    {"DecodePng", "image:dtype=uint8"},
    {"DecodeRaw", "output:out_type"},
    {"DecodeWav", "audio:float sample_rate:int32"},
    {"DenseBincount", "output:T"},
    {"DenseToDenseSetOperation", "result_indices:int64 result_values:T result_shape:int64"},
    {"DenseToSparseSetOperation", "result_indices:int64 result_values:T result_shape:int64"},
    {"DepthToSpace", "output:T"},
    {"DepthwiseConv2dNative", "output:T"},
    {"DepthwiseConv2dNativeBackpropInput", "output:T"},
    {"Dequantize", "output:dtype=float"},
    {"DestroyResourceOp", "!"},
    {"Diag", "output:T"},
    {"DiagPart", "diagonal:T"},
    {"Digamma", "y:T"},
    {"Dilation2D", "output:T"},
    {"Div", "z:T"},
    {"DivNoNan", "z:T"},
    {"DrawBoundingBoxes", "output:T=float"},
    {"DynamicPartition", "outputs:T*num_partitions"},
    {"DynamicStitch", "merged:T"},
    {"EagerPyFunc", "!output:Tout[]"},
    {"EditDistance", "output:float"},
    {"Einsum", "output:T"},
    {"Elu", "activations:T"},
    {"Empty", "!output:dtype"},
    {"EmptyTensorList", "handle:variant"},
    {"EncodeBase64", "output:string"},
    {"EncodeJpeg", "contents:string"},
    {"EncodePng", "contents:string"},
    {"EnsureShape", "output:T"},
    {"Enter", "output:T"},
    {"Equal", "z:bool"},
    {"Erf", "y:T"},
    {"Erfc", "y:T"},
    {"Erfinv", "y:T"},
    {"EuclideanNorm", "output:T"},
    {"Exit", "output:T"},
    {"Exp", "y:T"},
    {"ExpandDims", "output:T"},
    {"ExperimentalDatasetCardinality", "cardinality:int64"},
    {"Expm1", "y:T"},
    {"ExtractGlimpse", "glimpse:float"},
    {"ExtractImagePatches", "patches:T"},
    {"ExtractJpegShape", "image_shape:output_type=int32"},
    {"FFT", "output:Tcomplex=complex64"},
    {"FFT2D", "output:Tcomplex=complex64"},
    {"FFT3D", "output:Tcomplex=complex64"},
    {"FakeQuantWithMinMaxArgs", "outputs:float"},
    {"FakeQuantWithMinMaxVars", "outputs:float"},
    {"FakeQuantWithMinMaxVarsPerChannel", "outputs:float"},
    {"Fill", "output:T"},
    {"Floor", "y:T"},
    {"FloorDiv", "z:T"},
    {"FloorMod", "z:T"},
    {"FusedBatchNorm", "y:T batch_mean:T batch_variance:T reserve_space_1:T reserve_space_2:T"},
    {"FusedBatchNormV2", "y:T batch_mean:U batch_variance:U reserve_space_1:U reserve_space_2:U"},
    {"FusedBatchNormV3", "y:T batch_mean:U batch_variance:U reserve_space_1:U reserve_space_2:U reserve_space_3:U"},
    {"GRUBlockCell", "r:T u:T c:T h:T"},
    {"Gather", "output:Tparams"},
    {"GatherNd", "output:Tparams"},
    {"GatherV2", "output:Tparams"},
    {"Greater", "z:bool"},
    {"GreaterEqual", "z:bool"},
    {"GuaranteeConst", "!output:T"},
    {"HSVToRGB", "output:T=float"},
    {"HashTable", "!table_handle:string"},
    {"HashTableV2", "!table_handle:resource"},
    {"HistogramFixedWidth", "out:dtype=int32"},
    {"HistogramSummary", "summary:string"},
    {"IFFT", "output:Tcomplex=complex64"},
    {"IFFT2D", "output:Tcomplex=complex64"},
    {"IFFT3D", "output:Tcomplex=complex64"},
    {"IRFFT", "output:Treal=float"},
    {"IRFFT2D", "output:Treal=float"},
    {"Identity", "output:T"},
    {"IdentityN", "output:T[]"},
    {"If", "!output:Tout[]"},
    {"Igamma", "z:T"},
    {"Igammac", "z:T"},
    {"Imag", "output:Tout=float"},
    {"ImageProjectiveTransformV2", "transformed_images:dtype"},
    {"ImageProjectiveTransformV3", "transformed_images:dtype"},
    {"InTopK", "precision:bool"},
    {"InTopKV2", "precision:bool"},
    {"InitializeTable", ""},
    {"InitializeTableFromTextFile", ""},
    {"InitializeTableFromTextFileV2", "!"},
    {"InitializeTableV2", "!"},
    {"Invert", "y:T"},
    {"InvertPermutation", "y:T=int32"},
    {"IsBoostedTreesEnsembleInitialized", "!is_initialized:bool"},
    {"IsFinite", "y:bool"},
    {"IsInf", "y:bool"},
    {"IsNan", "y:bool"},
    {"IsVariableInitialized", "is_initialized:bool"},
    {"L2Loss", "output:T"},
    {"LRN", "output:T=float"},
    {"LSTMBlockCell", "i:T cs:T f:T o:T ci:T co:T h:T"},
    {"LeakyRelu", "activations:T=float"},
    {"LeftShift", "z:T"},
    {"Less", "z:bool"},
    {"LessEqual", "z:bool"},
    {"Lgamma", "y:T"},
    {"LinSpace", "output:T"},
    {"ListDiff", "out:T idx:out_idx=int32"},
    {"Log", "y:T"},
    {"Log1p", "y:T"},
    {"LogMatrixDeterminant", "sign:T log_abs_determinant:T"},
    {"LogSoftmax", "logsoftmax:T"},
    {"LogicalAnd", "z:bool"},
    {"LogicalNot", "y:bool"},
    {"LogicalOr", "z:bool"},
    {"LookupTableExportV2", "!keys:Tkeys values:Tvalues"},
    {"LookupTableFind", "values:Tout"},
    {"LookupTableFindV2", "!values:Tout"},
    {"LookupTableImportV2", "!"},
    {"LookupTableInsertV2", "!"},
    {"LookupTableRemoveV2", "!"},
    {"LookupTableSize", "size:int64"},
    {"LookupTableSizeV2", "!size:int64"},
    {"LoopCond", "output:bool"},
    {"LowerBound", "output:out_type=int32"},
    {"Lu", "lu:T p:output_idx_type=int32"},
    {"MatMul", "product:T"},
    {"MatchingFiles", "filenames:string"},
    {"MatrixBandPart", "band:T"},
    {"MatrixDeterminant", "output:T"},
    {"MatrixDiag", "output:T"},
    {"MatrixDiagPart", "diagonal:T"},
    {"MatrixDiagPartV2", "diagonal:T"},
    {"MatrixDiagPartV3", "diagonal:T"},
    {"MatrixDiagV2", "output:T"},
    {"MatrixDiagV3", "output:T"},
    {"MatrixExponential", "output:T"},
    {"MatrixInverse", "output:T"},
    {"MatrixLogarithm", "output:T"},
    {"MatrixSetDiag", "output:T"},
    {"MatrixSetDiagV2", "output:T"},
    {"MatrixSetDiagV3", "output:T"},
    {"MatrixSolve", "output:T"},
    {"MatrixSolveLs", "output:T"},
    {"MatrixSquareRoot", "output:T"},
    {"MatrixTriangularSolve", "output:T"},
    {"Max", "output:T"},
    {"MaxPool", "output:T=float"},
    {"MaxPool3D", "output:T"},
    {"MaxPoolGrad", "output:T=float"},
    {"MaxPoolV2", "output:T=float"},
    {"MaxPoolWithArgmax", "output:T argmax:Targmax=int64"},
    {"Maximum", "z:T"},
    {"Mean", "output:T"},
    {"Merge", "output:T value_index:int32"},
    {"MergeSummary", "summary:string"},
    {"MergeV2Checkpoints", "!"},
    {"Mfcc", "output:float"},
    {"Min", "output:T"},
    {"Minimum", "z:T"},
    {"MirrorPad", "output:T"},
    {"Mod", "z:T"},
    {"Mul", "z:T"},
    {"MulNoNan", "z:T"},
    {"Multinomial", "!output:output_dtype=int64"},
    {"MutableDenseHashTableV2", "!table_handle:resource"},
    {"MutableHashTable", "!table_handle:string"},
    {"MutableHashTableV2", "!table_handle:resource"},
    {"Ndtri", "y:T"},
    {"Neg", "y:T"},
    {"NextAfter", "output:T"},
    {"NextIteration", "output:T"},
    {"NoOp", ""},
    {"NonMaxSuppression", "selected_indices:int32"},
    {"NonMaxSuppressionV2", "selected_indices:int32"},
    {"NonMaxSuppressionV3", "selected_indices:int32"},
    {"NonMaxSuppressionV4", "selected_indices:int32 valid_outputs:int32"},
    {"NonMaxSuppressionV5", "selected_indices:int32 selected_scores:T=float valid_outputs:int32"},
    {"NonMaxSuppressionWithOverlaps", "selected_indices:int32"},
    {"NormalizeUTF8", "output:string"},
    {"NotEqual", "z:bool"},
    {"NthElement", "values:T"},
    {"OneHot", "output:T"},
    {"OnesLike", "y:T"},
    {"OptionalNone", "optional:variant"},
    {"Pack", "output:T"},
    {"Pad", "output:T"},
    {"PadV2", "output:T"},
    {"ParallelDynamicStitch", "merged:T"},
    {"ParameterizedTruncatedNormal", "!output:dtype"},
    {"ParseExample", "sparse_indices:int64*Nsparse sparse_values:sparse_types[] sparse_shapes:int64*Nsparse dense_values:Tdense[]"},
    {"ParseExampleV2", "sparse_indices:int64*num_sparse sparse_values:sparse_types[] sparse_shapes:int64*num_sparse dense_values:Tdense[] ragged_values:ragged_value_types[] ragged_row_splits:ragged_split_types[]"},
    {"ParseSequenceExampleV2", "context_sparse_indices:int64*Ncontext_sparse context_sparse_values:context_sparse_types[] context_sparse_shapes:int64*Ncontext_sparse context_dense_values:Tcontext_dense[] context_ragged_values:context_ragged_value_types[] context_ragged_row_splits:context_ragged_split_types[] feature_list_sparse_indices:int64*Nfeature_list_sparse feature_list_sparse_values:feature_list_sparse_types[] feature_list_sparse_shapes:int64*Nfeature_list_sparse feature_list_dense_values:feature_list_dense_types[] feature_list_dense_lengths:int64*Nfeature_list_dense feature_list_ragged_values:feature_list_ragged_value_types[] feature_list_ragged_outer_splits:feature_list_ragged_split_types[] feature_list_ragged_inner_splits:feature_list_ragged_split_types[]"},
    {"ParseSingleExample", "sparse_indices:int64*num_sparse sparse_values:sparse_types[] sparse_shapes:int64*num_sparse dense_values:Tdense[]"},
    {"ParseTensor", "output:out_type"},
    {"PartitionedCall", "output:Tout[]"},
    {"Placeholder", "output:dtype"},
    {"PlaceholderV2", "output:dtype"},
    {"PlaceholderWithDefault", "output:dtype"},
    {"Polygamma", "z:T"},
    {"Pow", "z:T"},
    {"PreventGradient", "output:T"},
    {"Print", "!output:T"},
    {"PrintV2", "!"},
    {"Prod", "output:T"},
    {"PyFunc", "!output:Tout[]"},
    {"PyFuncStateless", "output:Tout[]"},
    {"Qr", "q:T r:T"},
    {"QuantizeAndDequantize", "output:T"},
    {"QuantizeAndDequantizeV2", "output:T"},
    {"QuantizeAndDequantizeV3", "output:T"},
    {"QuantizeAndDequantizeV4", "output:T"},
    {"QuantizeV2", "output:T output_min:float output_max:float"},
    {"QuantizedMatMul", "out:Toutput=qint32 min_out:float max_out:float"},
    {"RFFT", "output:Tcomplex=complex64"},
    {"RFFT2D", "output:Tcomplex=complex64"},
    {"RGBToHSV", "output:T=float"},
    {"RaggedBincount", "output:T"},
    {"RaggedCross", "output_values:out_values_type output_row_splits:out_row_splits_type"},
    {"RaggedGather", "output_nested_splits:Tsplits=int64*OUTPUT_RAGGED_RANK output_dense_values:Tvalues"},
    {"RaggedRange", "rt_nested_splits:Tsplits=int64 rt_dense_values:T=int32"},
    {"RaggedTensorFromVariant", "output_nested_splits:Tsplits=int64*output_ragged_rank output_dense_values:Tvalues"},
    {"RaggedTensorToSparse", "sparse_indices:int64 sparse_values:T sparse_dense_shape:int64"},
    {"RaggedTensorToTensor", "result:T"},
    {"RaggedTensorToVariant", "encoded_ragged:variant"},
    {"RandomGamma", "!output:T"},
    {"RandomPoisson", "!output:dtype"},
    {"RandomShuffle", "!output:T"},
    {"RandomShuffleQueueV2", "!handle:resource"},
    {"RandomStandardNormal", "!output:dtype"},
    {"RandomUniform", "!output:dtype"},
    {"RandomUniformInt", "!output:Tout"},
    {"Range", "output:Tidx=int32"},
    {"Rank", "output:int32"},
    {"ReadFile", "contents:string"},
    {"ReadVariableOp", "!value:dtype"},
    {"Real", "output:Tout=float"},
    {"RealDiv", "z:T"},
    {"Reciprocal", "y:T"},
    {"ReduceJoin", "output:string"},
    {"RefEnter", "output:T"},
    {"RefExit", "output:T"},
    {"RefMerge", "output:T value_index:int32"},
    {"RefNextIteration", "output:T"},
    {"RefSwitch", "output_false:T output_true:T"},
    {"RegexFullMatch", "output:bool"},
    {"RegexReplace", "output:string"},
    {"RegexSplitWithOffsets", "tokens:string begin_offsets:int64 end_offsets:int64 row_splits:int64"},
    {"Relu", "activations:T"},
    {"Relu6", "activations:T"},
    {"ReluGrad", "backprops:T"},
    {"RemoteCall", "!output:Tout[]"},
    {"Reshape", "output:T"},
    {"ResizeArea", "resized_images:float"},
    {"ResizeBicubic", "resized_images:float"},
    {"ResizeBilinear", "resized_images:float"},
    {"ResizeNearestNeighbor", "resized_images:T"},
    {"ResourceGather", "!output:dtype"},
    {"ResourceGatherNd", "!output:dtype"},
    {"ResourceScatterAdd", "!"},
    {"ResourceScatterUpdate", "!"},
    {"ResourceStridedSliceAssign", "!"},
    {"RestoreV2", "!tensors:dtypes[]"},
    {"Reverse", "output:T"},
    {"ReverseSequence", "output:T"},
    {"ReverseV2", "output:T"},
    {"RightShift", "z:T"},
    {"Rint", "y:T"},
    {"Roll", "output:T"},
    {"Round", "y:T"},
    {"Rsqrt", "y:T"},
    {"SampleDistortedBoundingBoxV2", "!begin:T size:T bboxes:float"},
    {"SaveV2", "!"},
    {"ScalarSummary", "summary:string"},
    {"ScaleAndTranslate", "resized_images:float"},
    {"ScatterAdd", "output_ref:T"},
    {"ScatterNd", "output:T"},
    {"ScatterNdNonAliasingAdd", "output:T"},
    {"ScatterUpdate", "output_ref:T"},
    {"SegmentMax", "output:T"},
    {"SegmentMean", "output:T"},
    {"SegmentMin", "output:T"},
    {"SegmentProd", "output:T"},
    {"SegmentSum", "output:T"},
    {"SegmentSumV2", "output:T"},
    {"Select", "output:T"},
    {"SelectV2", "output:T"},
    {"SelfAdjointEig", "output:T"},
    {"SelfAdjointEigV2", "e:T v:T"},
    {"Selu", "activations:T"},
    {"SetSize", "size:int32"},
    {"Shape", "output:out_type=int32"},
    {"ShapeN", "output:out_type=int32*N"},
    {"ShardedFilename", "filename:string"},
    {"Sigmoid", "y:T"},
    {"Sign", "y:T"},
    {"Sin", "y:T"},
    {"Sinh", "y:T"},
    {"Size", "output:out_type=int32"},
    {"Slice", "output:T"},
    {"Snapshot", "output:T"},
    {"Softmax", "softmax:T"},
    {"SoftmaxCrossEntropyWithLogits", "loss:T backprop:T"},
    {"Softplus", "activations:T"},
    {"Softsign", "activations:T"},
    {"SpaceToBatch", "output:T"},
    {"SpaceToBatchND", "output:T"},
    {"SpaceToDepth", "output:T"},
    {"SparseAdd", "sum_indices:int64 sum_values:T sum_shape:int64"},
    {"SparseConcat", "output_indices:int64 output_values:T output_shape:int64"},
    {"SparseCross", "output_indices:int64 output_values:out_type output_shape:int64"},
    {"SparseCrossHashed", "output_indices:int64 output_values:int64 output_shape:int64"},
    {"SparseCrossV2", "output_indices:int64 output_values:string output_shape:int64"},
    {"SparseFillEmptyRows", "output_indices:int64 output_values:T empty_row_indicator:bool reverse_index_map:int64"},
    {"SparseReduceSum", "output:T"},
    {"SparseReorder", "output_indices:int64 output_values:T"},
    {"SparseReshape", "output_indices:int64 output_shape:int64"},
    {"SparseSegmentMean", "output:T"},
    {"SparseSegmentMeanWithNumSegments", "output:T"},
    {"SparseSegmentSqrtN", "output:T"},
    {"SparseSegmentSum", "output:T"},
    {"SparseSegmentSumWithNumSegments", "output:T"},
    {"SparseSlice", "output_indices:int64 output_values:T output_shape:int64"},
    {"SparseSoftmax", "output:T"},
    {"SparseSoftmaxCrossEntropyWithLogits", "loss:T backprop:T"},
    {"SparseSplit", "output_indices:int64*num_split output_values:T*num_split output_shape:int64*num_split"},
    {"SparseTensorDenseAdd", "output:T"},
    {"SparseTensorDenseMatMul", "product:T"},
    {"SparseToDense", "dense:T"},
    {"SparseToSparseSetOperation", "result_indices:int64 result_values:T result_shape:int64"},
    {"Split", "output:T*num_split"},
    {"SplitV", "output:T*num_split"},
    {"Sqrt", "y:T"},
    {"Square", "y:T"},
    {"SquaredDifference", "z:T"},
    {"Squeeze", "output:T"},
    {"StatefulPartitionedCall", "!output:Tout[]"},
    {"StatelessCase", "output:Tout[]"},
    {"StatelessIf", "output:Tout[]"},
    {"StatelessMultinomial", "output:output_dtype=int64"},
    {"StatelessRandomGetAlg", "!alg:int32"},
    {"StatelessRandomGetKeyCounter", "key:uint64 counter:uint64"},
    {"StatelessRandomGetKeyCounterAlg", "key:uint64 counter:uint64 alg:int32"},
    {"StatelessRandomNormal", "output:dtype=float"},
    {"StatelessRandomNormalV2", "output:dtype=float"},
    {"StatelessRandomUniform", "output:dtype=float"},
    {"StatelessRandomUniformFullInt", "output:dtype=uint64"},
    {"StatelessRandomUniformFullIntV2", "output:dtype=uint64"},
    {"StatelessRandomUniformInt", "output:dtype"},
    {"StatelessRandomUniformIntV2", "output:dtype"},
    {"StatelessRandomUniformV2", "output:dtype=float"},
    {"StatelessTruncatedNormal", "output:dtype=float"},
    {"StatelessTruncatedNormalV2", "output:dtype=float"},
    {"StatelessWhile", "output:T[]"},
    {"StaticRegexFullMatch", "output:bool"},
    {"StaticRegexReplace", "output:string"},
    {"StopGradient", "output:T"},
    {"StridedSlice", "output:T"},
    {"StringFormat", "output:string"},
    {"StringJoin", "output:string"},
    {"StringLength", "output:int32"},
    {"StringLower", "output:string"},
    {"StringNGrams", "ngrams:string ngrams_splits:Tsplits=int64"},
    {"StringSplit", "indices:int64 values:string shape:int64"},
    {"StringSplitV2", "indices:int64 values:string shape:int64"},
    {"StringStrip", "output:string"},
    {"StringToHashBucket", "output:int64"},
    {"StringToHashBucketFast", "output:int64"},
    {"StringToHashBucketStrong", "output:int64"},
    {"StringToNumber", "output:out_type=float"},
    {"StringUpper", "output:string"},
    {"Sub", "z:T"},
    {"Substr", "output:string"},
    {"Sum", "output:T"},
    {"Svd", "s:T u:T v:T"},
    {"Switch", "output_false:T output_true:T"},
    {"SymbolicGradient", "output:Tout[]"},
    {"Tan", "y:T"},
    {"Tanh", "y:T"},
    {"TemporaryVariable", "!ref:dtype"},
    {"TensorArrayCloseV3", "!"},
    {"TensorArrayConcatV3", "!value:dtype lengths:int64"},
    {"TensorArrayGatherV3", "!value:dtype"},
    {"TensorArrayReadV3", "!value:dtype"},
    {"TensorArrayScatterV3", "!flow_out:float"},
    {"TensorArraySizeV3", "!size:int32"},
    {"TensorArraySplitV3", "!flow_out:float"},
    {"TensorArrayV3", "!handle:resource flow:float"},
    {"TensorArrayWriteV3", "!flow_out:float"},
    {"TensorListConcatV2", "tensor:element_dtype lengths:int64"},
    {"TensorListElementShape", "element_shape:shape_type"},
    {"TensorListFromTensor", "output_handle:variant"},
    {"TensorListGather", "values:element_dtype"},
    {"TensorListGetItem", "item:element_dtype"},
    {"TensorListLength", "length:int32"},
    {"TensorListPopBack", "output_handle:variant tensor:element_dtype"},
    {"TensorListPushBack", "output_handle:variant"},
    {"TensorListReserve", "handle:variant"},
    {"TensorListResize", "output_handle:variant"},
    {"TensorListScatterIntoExistingList", "output_handle:variant"},
    {"TensorListScatterV2", "output_handle:variant"},
    {"TensorListSetItem", "output_handle:variant"},
    {"TensorListSplit", "output_handle:variant"},
    {"TensorListStack", "tensor:element_dtype"},
    {"TensorScatterAdd", "output:T"},
    {"TensorScatterMax", "output:T"},
    {"TensorScatterMin", "output:T"},
    {"TensorScatterSub", "output:T"},
    {"TensorScatterUpdate", "output:T"},
    {"TensorStridedSliceUpdate", "output:T"},
    {"Tile", "output:T"},
    {"Timestamp", "!ts:double"},
    {"TopK", "values:T indices:int32"},
    {"TopKV2", "values:T indices:index_type=int32"},
    {"Transpose", "y:T"},
    {"TridiagonalSolve", "output:T"},
    {"TruncateDiv", "z:T"},
    {"TruncateMod", "z:T"},
    {"TruncatedNormal", "!output:dtype"},
    {"UnicodeDecode", "row_splits:Tsplits=int64 char_values:int32"},
    {"UnicodeDecodeWithOffsets", "row_splits:Tsplits=int64 char_values:int32 char_to_byte_starts:int64"},
    {"UnicodeEncode", "output:string"},
    {"UnicodeScript", "output:int32"},
    {"UnicodeTranscode", "output:string"},
    {"Unique", "y:T idx:out_idx=int32"},
    {"UniqueV2", "y:T idx:out_idx=int32"},
    {"UniqueWithCounts", "y:T idx:out_idx=int32 count:out_idx=int32"},
    {"UniqueWithCountsV2", "y:T idx:out_idx=int32 count:out_idx=int32"},
    {"Unpack", "output:T*num"},
    {"UnsortedSegmentJoin", "output:string"},
    {"UnsortedSegmentMax", "output:T"},
    {"UnsortedSegmentMin", "output:T"},
    {"UnsortedSegmentProd", "output:T"},
    {"UnsortedSegmentSum", "output:T"},
    {"UpperBound", "output:out_type=int32"},
    {"VarHandleOp", "!resource:resource"},
    {"VarIsInitializedOp", "!is_initialized:bool"},
    {"Variable", "!ref:dtype"},
    {"VariableShape", "!output:out_type=int32"},
    {"VariableV2", "!ref:dtype"},
    {"Where", "index:int64"},
    {"While", "!output:T[]"},
    {"WordpieceTokenizeWithOffsets", "!output_values:string output_row_lengths:int64 start_values:int64 limit_values:int64"},
    {"WriteFile", "!"},
    {"Xdivy", "z:T"},
    {"XlaCallModule", "!output:Tout[]"},
    {"Xlog1py", "z:T"},
    {"Xlogy", "z:T"},
    {"ZerosLike", "y:T"},
    {"Zeta", "z:T"},
    {"_FusedBatchNormEx", "y:T batch_mean:U batch_variance:U reserve_space_1:U reserve_space_2:U reserve_space_3:U"},
    {"_FusedConv2D", "output:T"},
    {"_FusedMatMul", "product:T"},
};
/* clang-format on */

/* One output argument of a definition. */
typedef struct out_arg {
    sl_str name, type, otherwise; /* otherwise: the default of the type attribute, or empty */
    sl_str number;                /* name of the attribute that counts it, or empty */
    bool list;                    /* type is an attribute with a list of types */
} out_arg;

static int compare_name(const void *key, const void *def)
{
    return sl_str_cmp(*(const sl_str *)key, sl_str_of(((const opdef *)def)->name));
}

static const opdef *find(sl_str op)
{
    return bsearch(&op, opdefs, sizeof opdefs / sizeof opdefs[0], sizeof opdefs[0], compare_name);
}

static sl_str take(const char **p, const char *stop)
{
    size_t n = strcspn(*p, stop);
    sl_str s = {*p, n};
    *p += n;
    return s;
}

/* Reads the argument at *p and moves behind it; false at the end. */
static bool next_arg(const char **p, out_arg *a)
{
    *a = (out_arg){.list = false};
    while (**p == ' ' || **p == '!')
        ++*p;
    if (**p == '\0')
        return false;
    a->name = take(p, ":");
    ++*p;
    a->type = take(p, " =*[");
    if (**p == '=') {
        ++*p;
        a->otherwise = take(p, " *");
    }
    if (**p == '*') {
        ++*p;
        a->number = take(p, " ");
    }
    if (**p == '[') {
        a->list = true;
        *p += 2;
    }
    return true;
}

static const char *attr_name(sl_str s, char buf[64])
{
    size_t n = s.n < 63 ? s.n : 63;
    memcpy(buf, s.p, n);
    buf[n] = '\0';
    return buf;
}

/* How many flat outputs the argument stands for; -1 if the file's count makes no sense. */
static int arg_count(const sl_node *n, const out_arg *a)
{
    char name[64];
    if (a->list) {
        int count = sl_node_list_count(n, attr_name(a->type, name));
        return count < 0 ? 0 : count;
    }
    if (a->number.n == 0)
        return 1;
    int64_t count = sl_node_int(n, attr_name(a->number, name), 0);
    return count < 0 || count > 1 << 20 ? -1 : (int)count;
}

static sl_dtype dtype_named(sl_str s)
{
    for (int t = 1; t < SL_DT_COUNT; t++)
        if (sl_str_is(s, sl_dtype_name((sl_dtype)t)))
            return (sl_dtype)t;
    return SL_DT_INVALID;
}

int sl_opdef_output(const sl_node *n, sl_str arg)
{
    const opdef *def = find(n->op);
    if (def == NULL)
        return -1;
    const char *p = def->outputs;
    out_arg a;
    int at = 0;
    while (next_arg(&p, &a)) {
        if (sl_str_eq(a.name, arg))
            return at;
        int count = arg_count(n, &a);
        if (count < 0)
            return -1;
        at += count;
    }
    return -1;
}

int sl_opdef_output_count(const sl_node *n)
{
    const opdef *def = find(n->op);
    if (def == NULL)
        return -1;
    const char *p = def->outputs;
    out_arg a;
    int sum = 0;
    while (next_arg(&p, &a)) {
        int count = arg_count(n, &a);
        if (count < 0)
            return -1;
        sum += count;
    }
    return sum;
}

sl_dtype sl_opdef_output_type(const sl_node *n, int k)
{
    const opdef *def = find(n->op);
    if (def == NULL)
        return SL_DT_INVALID;
    const char *p = def->outputs;
    char name[64];
    out_arg a;
    for (int at = 0; next_arg(&p, &a);) {
        int count = arg_count(n, &a);
        if (count < 0)
            return SL_DT_INVALID;
        if (k >= at && k < at + count) {
            sl_dtype fixed = dtype_named(a.type);
            if (a.list)
                return sl_node_list_type(n, attr_name(a.type, name), k - at);
            return fixed ? fixed
                         : sl_node_type(n, attr_name(a.type, name), dtype_named(a.otherwise));
        }
        at += count;
    }
    return SL_DT_INVALID;
}

bool sl_opdef_is_stateful(sl_str op)
{
    const opdef *def = find(op);
    return def != NULL && def->outputs[0] == '!';
}
