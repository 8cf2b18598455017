ž
¬}
.
Identity

input"T
output"T"	
Ttype

NoOp
C
Placeholder
output"dtype"
dtypetype"
shapeshape:"serve*2.21.02v2.21.0-rc1-5-ga481b10260d8ˆ
7
sPlaceholder*
_output_shapes
:*
dtype0
:
IdentityIdentitys*
T0*
_output_shapes
:

initNoOp"ª*b
serving_defaultO

s
s:0
	out_bytes

Identity:0tensorflow/serving/predict