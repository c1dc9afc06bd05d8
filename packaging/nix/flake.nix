{
  # nix run 'github:claviger/claviger?dir=packaging/nix'
  description = "A credential helper that hands any tool a live OAuth access token";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      packages = lib.genAttrs systems (system: rec {
        claviger = nixpkgs.legacyPackages.${system}.callPackage ./package.nix { };
        default = claviger;
      });
    in
    {
      inherit packages;
      overlays.default = final: _: { claviger = final.callPackage ./package.nix { }; };
    };
}
