½
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
shapeshape:"serve*2.21.02v2.21.0-rc1-5-ga481b10260d8ÿ
7
aPlaceholder*
_output_shapes
:*
dtype0
7
bPlaceholder*
_output_shapes
:*
dtype0
:
IdentityIdentitya*
T0*
_output_shapes
:
<

Identity_1Identityb*
T0*
_output_shapes
:

initNoOp"ª*‰
serving_defaultv

a
a:0

b
b:0
oa

Identity:0
ob
Identity_1:0tensorflow/serving/predict