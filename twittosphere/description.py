"""The data set as other catalogues describe data sets: schema.org, DCAT and DataCite, all from what data/datapackage.json says of it.

`about` is what twittosphere.about() returns; `home` is the address that stands before those of the files, blank for
addresses that are relative.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

Described = dict[str, Any]
BEGAN = "2006-03-21"  # the first tweet


class File(NamedTuple):
    """A form in which the data are to be had."""

    title: str
    address: str  # after home
    media_type: str
    size: int | None = None  # bytes


def schema_org(about: dict[str, str], home: str, files: Iterable[File]) -> Described:
    """Describe the data set for search engines: https://schema.org/Dataset."""
    distribution = [{"@type": "DataDownload", "name": file.title, "encodingFormat": file.media_type, "contentUrl": home + file.address} | ({"contentSize": f"{file.size} B"} if file.size else {}) for file in files]
    return {
        "@context": "https://schema.org", "@type": "Dataset", "@id": home, "url": home, "name": about["title"], "description": about["description"], "inLanguage": ["en", "fr"], "isAccessibleForFree": True,
        "license": about["license"], "version": about["version"], "dateModified": about["created"][:10], "temporalCoverage": f"{BEGAN}/..", "creator": {"@type": "Organization", "name": about["publisher"], "url": home},
        "keywords": about["keywords"].split(", "), "variableMeasured": ["accounts", "events", "uses", "figures"], "distribution": distribution,
    }


def link(address: str) -> Described:
    """Return an address as JSON-LD has it."""
    return {"@id": address}


def in_both(about: dict[str, str], name: str) -> list[Described]:
    """Return a text in English and French as JSON-LD has them."""
    return [{"@language": "en", "@value": about[name]}, {"@language": "fr", "@value": about[f"{name}_fr"]}]


def dcat(about: dict[str, str], home: str, files: Iterable[File]) -> Described:
    """Describe the data set for catalogues of open data, as JSON-LD: https://www.w3.org/TR/vocab-dcat-3/."""
    distribution = [
        {"@type": "dcat:Distribution", "dct:title": file.title, "dcat:accessURL": link(home + file.address), "dcat:downloadURL": link(home + file.address), "dct:license": link(about["license"]),
         "dcat:mediaType": link(f"https://www.iana.org/assignments/media-types/{file.media_type}")} | ({"dcat:byteSize": file.size} if file.size else {})
        for file in files
    ]
    return {
        "@context": {"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/", "spdx": "http://spdx.org/rdf/terms#", "xsd": "http://www.w3.org/2001/XMLSchema#"},
        "@id": home, "@type": "dcat:Dataset", "dct:title": in_both(about, "title"), "dct:description": in_both(about, "description"), "dcat:keyword": about["keywords"].split(", "), "dcat:version": about["version"],
        "dct:issued": {"@type": "xsd:date", "@value": about["created"][:10]}, "dct:license": link(about["license"]), "dct:publisher": {"@type": "foaf:Organization", "foaf:name": about["publisher"]},
        "dct:language": [link(f"http://publications.europa.eu/resource/authority/language/{code}") for code in ("ENG", "FRA")],
        "dct:temporal": {"@type": "dct:PeriodOfTime", "dcat:startDate": {"@type": "xsd:date", "@value": BEGAN}}, "dct:identifier": f"sha256:{about['digest']}", "dcat:distribution": distribution,
    }


def datacite(about: dict[str, str], files: Iterable[File]) -> Described:
    """Describe the data set as whoever registers a DOI for it must: DataCite 4.5, as JSON. It has no DOI yet, and so names none."""
    languages = (("en", ""), ("fr", "_fr"))
    return {
        "schemaVersion": "http://datacite.org/schema/kernel-4", "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Database"}, "language": "en",
        "creators": [{"name": about["publisher"], "nameType": "Organizational"}], "publisher": {"name": about["publisher"]}, "publicationYear": about["created"][:4], "version": about["version"],
        "titles": [{"title": about["title"], "lang": "en"}, {"title": about["title_fr"], "lang": "fr", "titleType": "TranslatedTitle"}],
        "descriptions": [{"description": about[f"description{end}"], "descriptionType": "Abstract", "lang": code} for code, end in languages],
        "subjects": [{"subject": keyword} for keyword in about["keywords"].split(", ")], "dates": [{"date": about["created"][:10], "dateType": "Issued"}, {"date": f"{BEGAN}/", "dateType": "Other", "dateInformation": "Period covered"}],
        "rightsList": [{"rightsUri": about["license"], "rightsIdentifier": about["license_name"], "rightsIdentifierScheme": "SPDX"}],
        "alternateIdentifiers": [{"alternateIdentifier": about["digest"], "alternateIdentifierType": "SHA-256 of the facts"}],
        "formats": sorted({file.media_type for file in files}), "sizes": [f"{file.size} bytes" for file in files if file.size],
    }
