Ý
+"serve*2.21.02v2.21.0-rc1-5-ga481b10260d¨
N
	x_float32Placeholder*
_output_shapes
:*
dtype0*
shape:
C
	y_float32Identity	x_float32*
T0*
_output_shapes
:
N
	x_float64Placeholder*
_output_shapes
:*
dtype0*
shape:
C
	y_float64Identity	x_float64*
T0*
_output_shapes
:
K
x_int8Placeholder*
_output_shapes
:*
dtype0*
shape:
=
y_int8Identityx_int8*
T0*
_output_shapes
:
L
x_int16Placeholder*
_output_shapes
:*
dtype0*
shape:
?
y_int16Identityx_int16*
T0*
_output_shapes
:
L
x_int32Placeholder*
_output_shapes
:*
dtype0*
shape:
?
y_int32Identityx_int32*
T0*
_output_shapes
:
L
x_int64Placeholder*
_output_shapes
:*
dtype0	*
shape:
?
y_int64Identityx_int64*
T0	*
_output_shapes
:
L
x_uint8Placeholder*
_output_shapes
:*
dtype0*
shape:
?
y_uint8Identityx_uint8*
T0*
_output_shapes
:
M
x_uint16Placeholder*
_output_shapes
:*
dtype0*
shape:
A
y_uint16Identityx_uint16*
T0*
_output_shapes
:
M
x_uint32Placeholder*
_output_shapes
:*
dtype0*
shape:
A
y_uint32Identityx_uint32*
T0*
_output_shapes
:
M
x_uint64Placeholder*
_output_shapes
:*
dtype0*
shape:
A
y_uint64Identityx_uint64*
T0*
_output_shapes
:
K
x_boolPlaceholder*
_output_shapes
:*
dtype0
*
shape:
=
y_boolIdentityx_bool*
T0
*
_output_shapes
:
M
x_stringPlaceholder*
_output_shapes
:*
dtype0*
shape:
A
y_stringIdentityx_string*
T0*
_output_shapes
:
K
x_halfPlaceholder*
_output_shapes
:*
dtype0*
shape:
=
y_halfIdentityx_half*
T0*
_output_shapes
:
O

x_bfloat16Placeholder*
_output_shapes
:*
dtype0*
shape:
E

y_bfloat16Identity
x_bfloat16*
T0*
_output_shapes
:
P
x_complex64Placeholder*
_output_shapes
:*
dtype0*
shape:
G
y_complex64Identityx_complex64*
T0*
_output_shapes
:
Q
x_complex128Placeholder*
_output_shapes
:*
dtype0*
shape:
I
y_complex128Identityx_complex128*
T0*
_output_shapes
:"ª*^
bfloat16R

x
x_bfloat16:0
y
y_bfloat16:0tensorflow/serving/predict*R
boolJ

x
x_bool:0

y
y_bool:0
tensorflow/serving/predict*d

complex128V

x
x_complex128:0
y
y_complex128:0tensorflow/serving/predict*a
	complex64T

x
x_complex64:0
y
y_complex64:0tensorflow/serving/predict*Z
doubleP

x
x_float64:0
y
y_float64:0tensorflow/serving/predict*Y
floatP

x
x_float32:0
y
y_float32:0tensorflow/serving/predict*R
halfJ

x
x_half:0
y
y_half:0tensorflow/serving/predict*U
int16L

x
	x_int16:0
y
	y_int16:0tensorflow/serving/predict*U
int32L

x
	x_int32:0
y
	y_int32:0tensorflow/serving/predict*U
int64L

x
	x_int64:0	
y
	y_int64:0	tensorflow/serving/predict*R
int8J

x
x_int8:0
y
y_int8:0tensorflow/serving/predict*c
serving_defaultP

x
x_float32:0
y
y_float32:0tensorflow/serving/predict*X
stringN

x

x_string:0
y

y_string:0tensorflow/serving/predict*X
uint16N

x

x_uint16:0
y

y_uint16:0tensorflow/serving/predict*X
uint32N

x

x_uint32:0
y

y_uint32:0tensorflow/serving/predict*X
uint64N

x

x_uint64:0
y

y_uint64:0tensorflow/serving/predict*U
uint8L

x
	x_uint8:0
y
	y_uint8:0tensorflow/serving/predict