//! Reads an ELF file by its program headers and dynamic table: what the loader itself goes by, so that a stripped library
//! says as much as any.

use hookyard_plugin::note;
use object::elf::{
    DF_STATIC_TLS, DF_TEXTREL, DT_FLAGS, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_TEXTREL, FileHeader32,
    FileHeader64, PF_X, PT_GNU_STACK,
};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectSymbol};

use super::schema::Schema;
use super::{Artifact, ArtifactError, Identity, Unfit};

pub(super) fn read(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => file::<FileHeader64<Endianness>>(bytes),
        Ok(FileKind::Elf32) => file::<FileHeader32<Endianness>>(bytes),
        _ => Err(ArtifactError::NotElf),
    }
}

fn file<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    let file = ElfFile::<'_, E>::parse(bytes)?;
    let exported = file.dynamic_symbols().filter(|symbol| symbol.is_definition() && symbol.is_global());
    let mut exports: Vec<String> =
        exported.filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect();
    exports.sort();
    let mut artifact =
        Artifact { identity: None, settings: None, needs: Vec::new(), exports, unfit: Unfit::default() };
    dynamic(&file, &mut artifact)?;
    segments(&file, bytes, &mut artifact)?;
    Ok(artifact)
}

fn dynamic<E: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, E>,
    artifact: &mut Artifact,
) -> Result<(), ArtifactError> {
    let table = file.elf_dynamic_table()?;
    for entry in &table {
        let text = || Ok::<_, object::Error>(String::from_utf8_lossy(table.string(entry)?).into_owned());
        match entry.tag {
            DT_NEEDED => artifact.needs.push(text()?),
            DT_RPATH | DT_RUNPATH => artifact.unfit.run_paths.push(text()?),
            DT_TEXTREL => artifact.unfit.text_relocations = true,
            DT_FLAGS => {
                artifact.unfit.text_relocations |= entry.val & DF_TEXTREL.0 != 0;
                artifact.unfit.static_tls |= entry.val & DF_STATIC_TLS.0 != 0;
            }
            _ => {}
        }
    }
    Ok(())
}

fn segments<E: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, E>,
    bytes: &[u8],
    artifact: &mut Artifact,
) -> Result<(), ArtifactError> {
    let endian = file.endian();
    for segment in file.elf_program_headers() {
        if segment.p_type(endian) == PT_GNU_STACK {
            artifact.unfit.executable_stack = segment.p_flags(endian).contains(PF_X);
        }
        let Some(mut notes) = segment.notes(endian, bytes)? else { continue };
        while let Some(note) = notes.next()? {
            if note.name() != without_nul(note::OWNER) {
                continue;
            }
            match note.n_type(endian).0 {
                note::IDENTITY => artifact.identity = Some(identity(note.desc())?),
                note::SETTINGS => artifact.settings = Some(Schema::read(without_nul(note.desc()))?),
                // A note of a newer SDK.
                _ => {}
            }
        }
    }
    Ok(())
}

fn identity(desc: &[u8]) -> Result<Identity, ArtifactError> {
    serde_json::from_slice(without_nul(desc))
        .map_err(|error| ArtifactError::Note { what: "identity", why: error.to_string() })
}

/// A C string literal ends with a NUL, which is no part of the note's text.
fn without_nul(desc: &[u8]) -> &[u8] {
    desc.strip_suffix(b"\0").unwrap_or(desc)
}
