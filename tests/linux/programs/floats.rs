//! Floating point: formatting, rounding, functions, parsing.

fn main() {
    let x = std::hint::black_box(0.7_f64);
    println!("{} {} {}", x.sin(), x.exp(), x.powf(3.3));
    println!("{:.3} {:e} {:?} {}", 2.0_f64.sqrt(), 12345.678, 1e21, f64::MIN_POSITIVE);
    println!("{} {} {}", 0.1 + 0.2, 1.0 / 3.0_f32, f64::NAN.max(1.0));
    println!("{:?} {:?}", "1e-7".parse::<f64>(), "x".parse::<f32>().is_err());
    println!("{} {} {}", -7 / 2, (-7_i32).rem_euclid(2), (2.5_f64).round());
    println!("{} {}", 300.7 as u8, f64::INFINITY as i32);
    let mean = (1..=1000).map(f64::from).sum::<f64>() / 1000.0;
    println!("{mean}");
}
