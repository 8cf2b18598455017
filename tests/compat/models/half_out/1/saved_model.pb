¶
·‡
8
Const
output"dtype"
valuetensor"
dtypetype

NoOp
C
Placeholder
output"dtype"
dtypetype"
shapeshape:"serve*2.21.02v2.21.0-rc1-5-ga481b10260d8ž
7
xPlaceholder*
_output_shapes
:*
dtype0
P
ConstConst*
_output_shapes
:*
dtype0*
valueBj€x

initNoOp"ª*Y
serving_defaultF

x
x:0
y
Const:0tensorflow/serving/predict