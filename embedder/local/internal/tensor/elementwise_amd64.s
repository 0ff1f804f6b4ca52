#include "textflag.h"

// The constants of exp and GELU in elementwise.go, as float32 but for the bias
// of exponents and the bit of the sign.
DATA round<>+0(SB)/4, $0x4b400000
GLOBL round<>(SB), RODATA, $4
DATA log2e<>+0(SB)/4, $0x3fb8aa3b
GLOBL log2e<>(SB), RODATA, $4
DATA ln2high<>+0(SB)/4, $0x3f318000
GLOBL ln2high<>(SB), RODATA, $4
DATA ln2low<>+0(SB)/4, $0x395e8083
GLOBL ln2low<>(SB), RODATA, $4
DATA p0<>+0(SB)/4, $0x39506967
GLOBL p0<>(SB), RODATA, $4
DATA p1<>+0(SB)/4, $0x3ab743ce
GLOBL p1<>(SB), RODATA, $4
DATA p2<>+0(SB)/4, $0x3c088908
GLOBL p2<>(SB), RODATA, $4
DATA p3<>+0(SB)/4, $0x3d2aa9c1
GLOBL p3<>(SB), RODATA, $4
DATA p4<>+0(SB)/4, $0x3e2aaaaa
GLOBL p4<>(SB), RODATA, $4
DATA p5<>+0(SB)/4, $0x3f000000
GLOBL p5<>(SB), RODATA, $4
DATA one<>+0(SB)/4, $0x3f800000
GLOBL one<>(SB), RODATA, $4
DATA bias<>+0(SB)/4, $0x0000007f
GLOBL bias<>(SB), RODATA, $4
DATA least<>+0(SB)/4, $0xc2ae0000
GLOBL least<>(SB), RODATA, $4
DATA sign<>+0(SB)/4, $0x80000000
GLOBL sign<>(SB), RODATA, $4
DATA isqrt2<>+0(SB)/4, $0x3f3504f3
GLOBL isqrt2<>(SB), RODATA, $4
DATA a<>+0(SB)/4, $0x3ea7ba05
GLOBL a<>(SB), RODATA, $4
DATA e0<>+0(SB)/4, $0x3f87dc22
GLOBL e0<>(SB), RODATA, $4
DATA e1<>+0(SB)/4, $0xbfba00e3
GLOBL e1<>(SB), RODATA, $4
DATA e2<>+0(SB)/4, $0x3fb5f0e3
GLOBL e2<>(SB), RODATA, $4
DATA e3<>+0(SB)/4, $0xbe91a98e
GLOBL e3<>(SB), RODATA, $4
DATA e4<>+0(SB)/4, $0x3e827906
GLOBL e4<>(SB), RODATA, $4
DATA half<>+0(SB)/4, $0x3f000000
GLOBL half<>(SB), RODATA, $4

// EXP replaces each x in Y0, none above 0, by e to the x, as exp does. Y1 is
// shifted, Y2 n, Y3 p, Y4 says where the result is 0; Y5 is used for constants.
#define EXP \
	VBROADCASTSS least<>(SB), Y5; \
	VCMPPS       $0x12, Y5, Y0, Y4; \
	VBROADCASTSS round<>(SB), Y5; \
	VMOVAPS      Y5, Y1; \
	VBROADCASTSS log2e<>(SB), Y3; \
	VFMADD231PS  Y3, Y0, Y1; \
	VSUBPS       Y5, Y1, Y2; \
	VBROADCASTSS ln2high<>(SB), Y5; \
	VFNMADD231PS Y5, Y2, Y0; \
	VBROADCASTSS ln2low<>(SB), Y5; \
	VFMADD231PS  Y5, Y2, Y0; \
	VBROADCASTSS p0<>(SB), Y3; \
	VBROADCASTSS p1<>(SB), Y5; \
	VFMADD213PS  Y5, Y0, Y3; \
	VBROADCASTSS p2<>(SB), Y5; \
	VFMADD213PS  Y5, Y0, Y3; \
	VBROADCASTSS p3<>(SB), Y5; \
	VFMADD213PS  Y5, Y0, Y3; \
	VBROADCASTSS p4<>(SB), Y5; \
	VFMADD213PS  Y5, Y0, Y3; \
	VBROADCASTSS p5<>(SB), Y5; \
	VFMADD213PS  Y5, Y0, Y3; \
	VMULPS       Y0, Y3, Y3; \
	VFMADD213PS  Y0, Y0, Y3; \
	VBROADCASTSS one<>(SB), Y5; \
	VADDPS       Y5, Y3, Y3; \
	VPBROADCASTD bias<>(SB), Y5; \
	VPADDD       Y5, Y1, Y1; \
	VPSLLD       $23, Y1, Y1; \
	VMULPS       Y1, Y3, Y3; \
	VANDNPS      Y3, Y4, Y0

// func expAVX2(v *float32, n int, shift, scale float32)
TEXT ·expAVX2(SB), NOSPLIT, $0-24
	MOVQ         v+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS shift+16(FP), Y8
	VBROADCASTSS scale+20(FP), Y9

exploop:
	VMOVUPS (SI), Y0
	VSUBPS  Y8, Y0, Y0
	VMULPS  Y9, Y0, Y0
	EXP
	VMOVUPS Y0, (SI)
	ADDQ    $32, SI
	SUBQ    $8, CX
	JG      exploop
	VZEROUPPER
	RET

// func geluAVX2(v *float32, n int)
//
// Y8 is x, Y9 its sign, Y10 z, Y11 t, Y12 the polynomial in t.
TEXT ·geluAVX2(SB), NOSPLIT, $0-16
	MOVQ         v+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS sign<>(SB), Y13
	VBROADCASTSS one<>(SB), Y14

geluloop:
	VMOVUPS      (SI), Y8
	VANDPS       Y13, Y8, Y9
	VANDNPS      Y8, Y13, Y10
	VBROADCASTSS isqrt2<>(SB), Y5
	VMULPS       Y5, Y10, Y10
	VMOVAPS      Y14, Y11
	VBROADCASTSS a<>(SB), Y5
	VFMADD231PS  Y5, Y10, Y11
	VDIVPS       Y11, Y14, Y11
	VBROADCASTSS e0<>(SB), Y12
	VBROADCASTSS e1<>(SB), Y5
	VFMADD213PS  Y5, Y11, Y12
	VBROADCASTSS e2<>(SB), Y5
	VFMADD213PS  Y5, Y11, Y12
	VBROADCASTSS e3<>(SB), Y5
	VFMADD213PS  Y5, Y11, Y12
	VBROADCASTSS e4<>(SB), Y5
	VFMADD213PS  Y5, Y11, Y12
	VMULPS       Y11, Y12, Y12
	VMULPS       Y10, Y10, Y0
	VXORPS       Y13, Y0, Y0
	EXP
	VMULPS       Y0, Y12, Y12 // the tail
	VSUBPS       Y12, Y14, Y12
	VORPS        Y9, Y12, Y12 // the error function
	VADDPS       Y14, Y12, Y12
	VBROADCASTSS half<>(SB), Y5
	VMULPS       Y5, Y8, Y8
	VMULPS       Y12, Y8, Y8
	VMOVUPS      Y8, (SI)
	ADDQ         $32, SI
	SUBQ         $8, CX
	JG           geluloop
	VZEROUPPER
	RET
