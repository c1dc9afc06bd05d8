# claviger from this repository's sources: callPackage ./package.nix { }
{ lib, stdenv, rustPlatform, installShellFiles }:

let
  manifest = (builtins.fromTOML (builtins.readFile ../../Cargo.toml)).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  # Of the project's own CI: they want keyrings, servers and tools, and skip themselves where there are none.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    pages=$(mktemp --directory)
    for page in $($out/bin/claviger man --list); do
      $out/bin/claviger man $page > $pages/$page.1
    done
    installManPage $pages/*.1
    installShellCompletion --cmd claviger \
      --bash <($out/bin/claviger completions bash) \
      --fish <($out/bin/claviger completions fish) \
      --zsh <($out/bin/claviger completions zsh)
  '' + ''
    for tool in git-credential docker-credential cargo-credential terraform-credentials bazel-credential; do
      ln -s claviger $out/bin/$tool-claviger
      [ ! -d $out/share/man/man1 ] || ln -s claviger.1 $out/share/man/man1/$tool-claviger.1
    done
  '';

  meta = {
    inherit (manifest) description;
    homepage = manifest.repository;
    changelog = "${manifest.repository}/blob/v${manifest.version}/CHANGELOG.md";
    license = with lib.licenses; [ mit asl20 ];
    mainProgram = "claviger";
    platforms = lib.platforms.unix;
  };
}
