/*
 * op.h - what the native engine knows of an operation
 *
 * An op is a small table entry: how to check a node, which shapes come out, how to compute. The
 * same entry serves three times, so there is one implementation of everything:
 *
 *     load        configure(node)         attributes read and checked, once per node
 *     specialise  shape(call)             for concrete input shapes; values of constants are known.
 *                 run(call)               ... and if all inputs are known, the node is folded here
 *     run         run(call)               into memory that the plan has reserved
 *
 * Shapes are always concrete: a plan is made for one set of input shapes, so Shape(x) is a constant
 * in it and Reshape(x, Pack(Shape(x)[0], 64)) is a view. Where a shape hangs on values that are
 * only known during the run (Where, Unique, string splits), the step is dynamic: shape() is called
 * during the run and memory comes from the run's arena.
 *
 * The ops are a closed list (ops/ *.c, one file a family; table.c joins them): none of them opens a
 * file or a socket, all of them check shapes before they write.
 */
#ifndef SL_ENGINE_NATIVE_OP_H
#define SL_ENGINE_NATIVE_OP_H

#include "base/arena.h"
#include "savedmodel/savedmodel.h"
#include "sluice/tensor.h"

/* A mutable thing that a resource or ref tensor points to: variable or table. Defined in
 * resource.h. */
typedef struct sl_resource sl_resource;

typedef struct sl_op sl_op;

/* One node of the graph after inlining, as the op sees it. */
typedef struct sl_op_node {
    const sl_op *op;
    const char *name;      /* for error messages: "StatefulPartitionedCall/dense/MatMul" */
    const sl_node *source; /* attributes: sl_node_int(source, "axis", 0) ... defaults are stripped
                              in files, so every read names the default of opdefs.tsv */
    int n_in;              /* data inputs */
    const sl_dtype *in_types; /* their dtypes (base types; SL_DT_RESOURCE for handles) */
    int n_out;
    sl_dtype *out_types; /* set by configure(): one for each output */
    void *config;        /* configure()'s own, from `arena`, read-only afterwards; or NULL */
    sl_arena *arena;     /* lives as long as the session */
} sl_op_node;

/* One evaluation of a node, at specialise time or during a run. */
typedef struct sl_op_call {
    const sl_op_node *node;
    /* Inputs: dtype and shape are always set. data is the value; NULL while it is not known yet
     * (only in shape(), when specialising). A tensor of 0 elements counts as known. Read-only. */
    const sl_tensor *in;
    /* Outputs: shape() sets rank and dims (dtype is set already); before run() the engine sets size
     * and data. run() writes data[0 .. size). An op with SL_OP_MAKES sets all of out[] in run(). */
    sl_tensor *out;
    void *scratch;       /* scratch_size bytes, aligned to 64, if shape() asked for some */
    size_t scratch_size; /* set by shape() */
    sl_arena *arena; /* of this run (or of specialising): string bytes and results of unknown size
                        come from here with sl_arena_try_alloc; valid until the outputs have been
                        handed to the caller */
    int threads;     /* how many the run may use; 1: the caller's only */
} sl_op_call;

enum {
    /* Output 0 has the bytes of input 0 (Identity, Reshape, Squeeze, ExpandDims ...): run may be
     * NULL; the planner makes it a view. Other outputs: none. */
    SL_OP_ALIAS = 1 << 0,
    /* out[0] may share memory with an input of the same size that dies here (elementwise ops):
     * run() must be correct with out[0].data == in[i].data for any i. */
    SL_OP_IN_PLACE = 1 << 1,
    /* Reads or writes state, or has a side effect (Assert): never folded, never removed when it is
     * reached, keeps its order among the stateful steps. */
    SL_OP_STATEFUL = 1 << 2,
    /* The shape of an output hangs on the values that run() computes (Where, Unique): run() sets
     * rank, dims, size and data of all outputs, taking memory from call->arena. shape() may be
     * NULL. */
    SL_OP_MAKES = 1 << 3,
    /* May block or take unbounded time whatever the shapes: never run in place on a loop. */
    SL_OP_BLOCKS = 1 << 4,
    /* What it makes belongs to one run (lists): never folded, so never shared by several. */
    SL_OP_FRESH = 1 << 6,
    /* shape() also needs the value of the last input, wherever that is (ConcatV2's axis). */
    SL_OP_READS_LAST = 1 << 5,
};

struct sl_op {
    const char *name; /* "MatMul" */
    unsigned flags;
    /* Inputs whose values shape() needs, as bits (Reshape: 1 << 1). If one is not known when
     * specialising, the step becomes dynamic. Bit 31: all inputs from 31 on too. */
    uint32_t shape_reads;

    /*
     * Checks a node once: attributes, dtypes, number of inputs; sets out_types and config. SL_OK:
     * this node can be computed. FAILED_PRECONDITION: it cannot; the message is one reason ("dtype
     * complex64 is not supported"), shown by inspect. INVALID_ARGUMENT: the file is wrong.
     */
    sl_code (*configure)(sl_op_node *n, sl_status *st);

    /* The shape rule: sets rank and dims of every output and scratch_size. Wrong shapes:
     * INVALID_ARGUMENT with TensorFlow's words ("Matrix size-incompatible: In[0]: [2,3], In[1]:
     * [4,1]"); the engine appends the "\n\t [[{{node <name>}}]]" of TensorFlow. */
    sl_code (*shape)(sl_op_call *c, sl_status *st);

    /* Computes. Same error rules. */
    sl_code (*run)(sl_op_call *c, sl_status *st);

    /* (optional) Estimated nanoseconds on one core for these shapes; when absent: bytes in and out
     * divided by 4 GB/s plus 20 ns. */
    int64_t (*cost)(const sl_op_call *c);
};

/* The inputs whose values shape() needs, of a node with n_in inputs: as shape_reads, with
 * SL_OP_READS_LAST worked in. */
static inline uint32_t sl_op_shape_reads(const sl_op *op, int n_in)
{
    uint32_t last =
        op->flags & SL_OP_READS_LAST && n_in > 0 ? 1u << (n_in > 32 ? 31 : n_in - 1) : 0;
    return op->shape_reads | last;
}

/* NULL if the native engine does not have it. Binary search over all families. */
const sl_op *sl_op_find(sl_str name);
/* The i-th op by name, NULL after the last: inspect, the op tests and the documents walk the list.
 */
const sl_op *sl_op_at(int i);

/*
 * Outputs by name, for references inside functions ("MatMul:product:0"): position of the first flat
 * output of output arg `arg` of this node (its N and type-list attributes counted), -1 if there is
 * no such op or arg. Knows every op of the contract's op list, also those without a kernel here
 * (opdefs.c).
 */
int sl_opdef_output(const sl_node *n, sl_str arg);
/* Number of flat outputs of a node, -1 if its op is not in the list. */
int sl_opdef_output_count(const sl_node *n);
/* dtype of flat output k as attributes say; INVALID if not known. */
sl_dtype sl_opdef_output_type(const sl_node *n, int k);
bool sl_opdef_is_stateful(sl_str op);

/* Families: each ops/<family>.c exports its table, ended by an entry without a name. */
#define SL_OP_FAMILIES(X)                                                                \
    X(array_shape)    /* Identity Shape Reshape ExpandDims Squeeze ... */                \
    X(array_move)     /* Transpose ConcatV2 Pack Split Tile BroadcastTo ReverseV2 ... */ \
    X(array_turn)     /* Roll ReverseSequence */                                         \
    X(array_slice)    /* Slice StridedSlice */                                           \
    X(array_gather)   /* GatherV2 GatherNd ScatterNd ... */                              \
    X(array_make)     /* Fill Range ZerosLike OneHot Where TopKV2 ... */                 \
    X(unique)         /* Unique UniqueV2 UniqueWithCounts ListDiff ... */                \
    X(search)         /* LowerBound UpperBound InTopKV2 HistogramFixedWidth */           \
    X(array_pad)      /* Pad MirrorPad DepthToSpace SpaceToBatchND ... */                \
    X(cast)           /* Cast Bitcast */                                                 \
    X(math_unary)     /* elementwise, one operand; activations too */                    \
    X(math_binary)    /* elementwise with broadcasting, comparisons, logical, AddN */    \
    X(math_select)    /* Select SelectV2 ClipByValue */                                  \
    X(reduce)         /* Sum Mean Max Min Prod All Any ArgMax ArgMin */                  \
    X(scan)           /* Cumsum Cumprod, segment sums */                                 \
    X(linear)         /* MatMul BatchMatMulV2 BiasAdd Einsum */                          \
    X(einsum)         /* Einsum */                                                       \
    X(rnn)            /* LSTMBlockCell BlockLSTM GRUBlockCell */                         \
    X(ctc)            /* CTCGreedyDecoder */                                             \
    X(nn)             /* Softmax batch norm LRN */                                       \
    X(conv)           /* Conv2D DepthwiseConv2dNative */                                 \
    X(conv_transpose) /* Conv2DBackpropInput */                                          \
    X(sparse)         /* SparseToDense ScatterNd TensorScatterUpdate Bucketize */        \
    X(pool)           /* MaxPool AvgPool MaxPoolWithArgmax */                            \
    X(image)          /* ResizeBilinear ResizeNearestNeighbor ResizeArea */              \
    X(color)          /* RGBToHSV AdjustContrastv2 AdjustHue ... */                      \
    X(crop)           /* CropAndResize ExtractImagePatches */                            \
    X(warp)           /* ImageProjectiveTransformV3 ScaleAndTranslate */                 \
    X(parse)          /* ParseExample ParseExampleV2 DecodeRaw StringToNumber */         \
    X(parse_tensor)   /* ParseTensor */                                                  \
    X(string)         /* string ops */                                                   \
    X(list)           /* TensorList */                                                   \
    X(list_many)      /* TensorListStack ... */                                          \
    X(tensor_array)   /* TensorArrayV3 and its kin */                                    \
    X(partition)      /* DynamicPartition DynamicStitch */                               \
    X(quant)          /* FakeQuantWithMinMaxVars ... */                                  \
    X(detect)         /* NonMaxSuppression CombinedNonMaxSuppression */                  \
    X(quant_dequant)  /* QuantizeAndDequantizeV2 */                                      \
    X(loss)           /* SoftmaxCrossEntropyWithLogits ... */                            \
    X(substr)         /* Substr */                                                       \
    X(string_split)   /* StringSplit StringNGrams */                                     \
    X(string_join)    /* ReduceJoin UnsortedSegmentJoin */                               \
    X(string_hash)    /* StringToHashBucket StringToHashBucketStrong */                  \
    X(string_format)  /* StringFormat */                                                 \
    X(unicode)        /* UnicodeDecode UnicodeEncode */                                  \
    X(base64)         /* EncodeBase64 DecodeBase64 */                                    \
    X(regex)          /* RegexReplace RegexFullMatch */                                  \
    X(picture)        /* DecodeJpeg DecodePng DecodeImage */                             \
    X(ragged)         /* RaggedTensorToTensor */                                         \
    X(ragged_parts)   /* RaggedRange RaggedTensorToSparse RaggedGather */                \
    X(count)          /* Bincount DenseBincount RaggedBincount */                        \
    X(matrix)         /* MatrixBandPart, diagonals */                                    \
    X(vector)         /* Cross L2Loss Diag DiagPart */                                   \
    X(sparse_rows)    /* SparseReshape SparseFillEmptyRows SparseSegmentSum ... */       \
    X(sparse_parts)   /* SparseConcat SparseSlice */                                     \
    X(sparse_cross)   /* SparseCross SparseCrossV2 SparseCrossHashed */                  \
    X(sets)           /* DenseToDenseSetOperation SetSize ... */                         \
    X(conv3d)         /* Conv3D MaxPool3D AvgPool3D */                                   \
    X(random)         /* RandomUniform StatelessRandomUniformV2 Multinomial ... */       \
    X(state)          /* variables, Assert, NoOp */                                      \
    X(table)          /* lookup tables */
#define X(family) extern const sl_op sl_ops_##family[];
SL_OP_FAMILIES(X)
#undef X

#endif
