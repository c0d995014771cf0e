"""Operations with one public function each: a reference in plain torch that runs anywhere; kernels slot in below it."""
