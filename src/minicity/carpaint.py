"""What is painted on a car's body and cabin: panels, lamps, glass and personal marks."""

import numpy as np

from minicity.camera import Mask, Vector
from minicity.cast import CarLook
from minicity.light import blend, tint
from minicity.noise import Array, fbm, smoothstep

_BLACK: Vector = (0.02, 0.02, 0.022)
_Paint = tuple[Array, Array, Array]


def body_albedo(look: CarLook, points: Array, normals: Array) -> _Paint:
    """Albedo [3, n], gloss [n] and lamp glow [3, n] at local points of the lower body."""
    model = look.model
    x, y, z = points
    half_w, half_l = model.width / 2, model.length / 2
    wide = np.abs(x)
    on_side = np.abs(normals[0]) > 0.75
    on_top = normals[1] > 0.6
    on_front, on_rear = (normals[2] > 0.4) & ~on_top, (normals[2] < -0.4) & ~on_top
    albedo = _lacquer(look, y, z, wide, on_side, on_top)
    shine = np.full(x.shape, 0.5, np.float32)
    sill = y < model.clearance + 0.13
    albedo = blend(albedo, (0.04, 0.04, 0.042), sill * 0.85)
    for seam in (model.cabin[3] - 0.15, *model.pillars, model.cabin[1] + 0.2):
        line = on_side & (np.abs(z - seam) < 0.014) & (y > model.clearance + 0.15)
        albedo = albedo * (1.0 - 0.75 * line)
        handle = on_side & (np.abs(z - seam - 0.17) < 0.07) & (np.abs(y - model.belt + 0.16) < 0.02)
        albedo = blend(albedo, (0.25, 0.25, 0.25), handle * 0.8)
    for axle in (-model.length * 0.31, model.length * 0.315):
        dy, dz = y - model.wheel, z - axle
        arch = (on_side | sill) & (dy * dy + dz * dz < model.wheel * model.wheel * 1.35)
        albedo = np.where(arch, tint(_BLACK, 0.8 + 0 * x), albedo)
        shine = np.where(arch, np.float32(0.0), shine)
    lamp_y = model.nose * 0.78
    corner = wide > half_w * 0.52
    head = (on_front | (z > half_l - 0.3)) & corner & (np.abs(y - lamp_y) < 0.085) & ~on_top
    grille = on_front & ~corner & (np.abs(y - lamp_y + 0.03) < 0.1)
    bars = (y * 22 - np.floor(y * 22)) < 0.5
    albedo = np.where(grille, tint(_BLACK, 1.0 + 3.0 * bars), albedo)
    intake = on_front & (wide < half_w * 0.7) & (np.abs(y - model.clearance - 0.16) < 0.07)
    albedo = np.where(intake, tint(_BLACK, 1.0 + 0 * x), albedo)
    lamp = blend(tint((0.62, 0.62, 0.6), 1.0 + 0 * x), (0.9, 0.9, 0.85), wide * 0.5)
    albedo = np.where(head, lamp, albedo)
    tall = 0.2 if model.height > 1.6 else 0.085
    tail = (on_rear | (z < -half_l + 0.25)) & (wide > half_w * 0.58) & ~on_top
    tail &= np.abs(y - model.tail * 0.76) < tall
    albedo = np.where(tail, tint((0.42, 0.02, 0.02), 1.0 + 0 * x), albedo)
    bumper = on_rear & (np.abs(y - model.tail * 0.48) < 0.015)
    albedo = albedo * (1.0 - 0.7 * bumper)
    plate_y = np.where(on_front, model.clearance + 0.27, model.tail * 0.6)
    plate = (on_front | on_rear) & (wide < 0.25) & (np.abs(y - plate_y) < 0.06)
    signs = (
        plate & (wide < 0.2) & (np.abs(y - plate_y) < 0.03) & ((x * 18 - np.floor(x * 18)) < 0.6)
    )
    albedo = np.where(plate, tint((0.6, 0.6, 0.56), 1.0 - 0.85 * signs), albedo)
    if model.bed:
        bed = on_top & (z < model.cabin[0] - 0.05) & (wide < half_w - 0.16) & (z > -half_l + 0.16)
        ribs = (x * 6 - np.floor(x * 6)) < 0.5
        albedo = np.where(bed, tint((0.03, 0.03, 0.032), 1.0 + 0.8 * ribs), albedo)
        shine = np.where(bed, np.float32(0.0), shine)
    glow = tint((1.0, 0.92, 0.75), head) * 1.2 + tint((0.8, 0.05, 0.03), tail) * 0.7
    return _soiled(look, albedo, shine, points, glow)


def _lacquer(look: CarLook, y: Array, z: Array, wide: Array, on_side: Mask, on_top: Mask) -> Array:
    """Paint with the model's stripes and the car's own marks."""
    model = look.model
    albedo = tint(look.paint, 1.0 + 0 * y)
    waist = 0.62 * model.belt
    if look.two_tone == 1:
        albedo = blend(albedo, look.accent, y < waist - 0.03)
    if look.belt:
        albedo = blend(albedo, look.accent, on_side & (np.abs(y - waist - 0.05) < 0.035))
    if model.stripe == 1:
        albedo = blend(albedo, look.accent, on_side & (np.abs(y - waist) < 0.11))
    if model.stripe == 2:
        lines = (wide > 0.1) & (wide < 0.32) & ~on_side
        albedo = blend(albedo, look.accent, lines)
    if model.stripe == 3:
        band = on_side & (np.abs(y - waist - 0.02) < 0.09)
        dark = (np.floor(z / 0.09) + np.floor(y / 0.09)) % 2 > 0
        albedo = np.where(band, tint((0.5, 0.48, 0.42), 0.06 + 0.94 * dark), albedo)
    dz, dy = np.abs(z - look.decal_z), np.abs(y - waist - 0.02)
    if look.decal == 1:
        albedo = blend(albedo, look.accent, on_side & (dz * dz + dy * dy < 0.045))
    elif look.decal == 2:
        albedo = blend(albedo, look.accent, on_side & (dz < 0.42) & (dy < 0.15))
    elif look.decal == 3:
        slash = np.abs(z - look.decal_z - 1.5 * (y - waist))
        albedo = blend(albedo, look.accent, on_side & (slash < 0.14))
    return albedo


def cabin_albedo(look: CarLook, points: Array, normals: Array) -> _Paint:
    """Albedo [3, n], gloss [n] and glow [3, n] at local points of the cabin."""
    model = look.model
    x, y, z = points
    rear, roof_rear, roof_front, screen = model.cabin
    roof_paint = look.accent if look.two_tone == 2 else look.paint
    albedo = tint(roof_paint, 1.0 + 0 * x)
    if model.stripe == 2:
        lines = (np.abs(x) > 0.1) & (np.abs(x) < 0.32)
        albedo = blend(albedo, look.accent, lines)
    on_side = np.abs(normals[0]) > 0.75
    up = (y - model.belt) * (1.0 / (model.height - model.belt))
    glazed = (up > 0.08) & (up < 0.82)
    # Side windows keep clear of the raked ends and of the pillars.
    low_z = rear + (roof_rear - rear) * up + 0.13
    high_z = screen + (roof_front - screen) * up - 0.12
    if model.blind:
        low_z = np.maximum(low_z, 0.25)
    side_glass = on_side & glazed & (z > low_z) & (z < high_z)
    for pillar in model.pillars:
        side_glass &= np.abs(z - pillar) > 0.055
    inset = model.width / 2 - 0.17 - 0.17 * up
    raked = np.abs(normals[2]) > 0.35
    end_glass = raked & (up > 0.1) & (up < 0.93) & (np.abs(x) < inset)
    if model.blind:
        end_glass &= (normals[2] > 0) | (np.abs(x) > 0.05)
    glass = side_glass | end_glass
    seats = side_glass & (up < 0.5) & (np.abs(z * 1.1 - np.floor(z * 1.1) - 0.5) < 0.2)
    dark = 1.0 + 1.6 * up + 2.5 * seats
    albedo = np.where(glass, tint((0.016, 0.018, 0.02), dark), albedo)
    frame = on_side & (up > 0.04) & (up < 0.87) & ~glass & (z > low_z - 0.05) & (z < high_z + 0.05)
    if not model.blind:
        albedo = np.where(frame, albedo * 0.3, albedo)
    shine = np.where(glass, np.float32(0.8), np.float32(0.45))
    return _soiled(look, albedo, shine, points, np.zeros_like(albedo))


def _soiled(look: CarLook, albedo: Array, shine: Array, points: Array, glow: Array) -> _Paint:
    """Adds road dirt, thickest below and behind the wheels."""
    x, y, z = points
    cloud = fbm(z * 2.2 + look.grime_seed, y * 3.0 + x, look.grime_seed, 3)
    amount = smoothstep(0.9, 0.1, y) * smoothstep(0.3, 0.7, cloud) * look.dirt
    return blend(albedo, (0.17, 0.14, 0.10), amount), shine * (1 - 0.7 * amount), glow
